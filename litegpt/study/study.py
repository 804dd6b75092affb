"""The study file, read and checked as a whole: `read_study` returns a Study or raises one InputError with the line.

The bounds of a study give the number of trials of each phase, or an upper bound for a phase that promotes.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litegpt.errors import InputError, did_you_mean
from litegpt.study.document import Document, read_text
from litegpt.study.expand import PERMUTATIONS_MAX, Bound, bound
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import Exclusion, Phase
from litegpt.study.settings import Setting, short_repr
from litegpt.study.split import SPLIT_KEYS, SPLIT_MODES, SplitRule
from litegpt.study.tables import SETTINGS, read_name, read_phase, read_settings

KEEPS = ("promoted", "all", "none")
PHASES_MAX = 200
"""The largest number of phases in a study."""

_PHASE_HEADER = re.compile(r"^\s*\[\[\s*phase\s*\]\]", re.MULTILINE)


@dataclass(frozen=True)
class Study:
    """The contents of a study file."""

    path: Path
    name: str
    corpus: str  # as written: a file, a folder or a glob
    corpus_base: Path  # what `corpus` is relative to: the folder of the file
    split: SplitRule
    keep: str  # the trials whose weights stay on the disk: one of KEEPS
    defaults: Mapping[str, Setting]
    phases: tuple[Phase, ...]
    bounds: Mapping[str, Bound]  # by phase name

    def phase(self, name: str) -> Phase:
        """Return the phase of that name. InputError: the study has no such phase."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        names = [phase.name for phase in self.phases]
        hint = did_you_mean(name, names) or f": one of {', '.join(names)}"
        raise InputError(f"no phase {short_repr(name)}{hint}", self.path)

    @property
    def corpus_location(self) -> str:
        """The absolute path, or glob, of the corpus."""
        return os.path.normpath(self.corpus_base / self.corpus)


def read_study(path: Path, *, follow_links: bool = True) -> Study:
    """Read a study file. InputError: the first mistake in it, with the line."""
    return parse_study(read_text(path, follow_links=follow_links), path)


def parse_study(text: str, path: Path) -> Study:
    """Return the study of a text that is, or will be, the file at `path`."""
    # Count the headers first, because parsing thousands of phases takes seconds.
    if (count := len(_PHASE_HEADER.findall(text))) > PHASES_MAX:
        raise InputError(f"has {count:,} phases, more than {PHASES_MAX}", path)
    document = Document(text, path)
    data = document.data
    document.check_keys(data, ("study", "defaults", "phase"))
    head = document.table(data.get("study", {}), "study")
    document.check_keys(head, ("name", "corpus", *SPLIT_KEYS, "keep"), "study")
    defaults_table = document.table(data.get("defaults", {}), "defaults")
    document.check_keys(defaults_table, SETTINGS, "defaults")
    defaults = read_settings(document, defaults_table, "defaults")
    phases = _read_phases(document, defaults)
    return Study(
        path=path,
        name=read_name(document, head.get("name", path.stem), "study"),
        corpus=_read_corpus(document, head),
        corpus_base=Path(os.path.abspath(path)).parent,
        split=_read_split(document, head, Path(os.path.abspath(path)).parent),
        keep=_read_choice(document, head, "keep", KEEPS),
        defaults=defaults,
        phases=phases,
        bounds=_bounds(document, phases),
    )


def _read_corpus(document: Document, head: Mapping[str, Any]) -> str:
    if "corpus" not in head:
        raise document.error("corpus is missing from [study]: name a file, a folder or a glob", "study")
    corpus = head["corpus"]
    if not isinstance(corpus, str) or not corpus.strip() or "\0" in corpus:
        raise document.error(f"corpus must be a file, a folder or a glob, not {short_repr(corpus)}", "study", "corpus")
    return corpus


def _read_split(document: Document, head: Mapping[str, Any], base: Path) -> SplitRule:
    how = _read_choice(document, head, "split", SPLIT_MODES)
    for key, modes in SPLIT_KEYS.items():
        if key in head and how not in modes:
            wanted = " or ".join(f"'{mode}'" for mode in modes)
            raise document.error(f"{key} belongs to split = {wanted}, not to '{how}'", "study", key)
    fraction = head.get("validation_fraction", SplitRule.fraction)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        message = f"validation_fraction must be a number between 0 and 1, not {short_repr(fraction)}"
        raise document.error(message, "study", "validation_fraction")
    seed = head.get("split_seed", SplitRule.seed)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise document.error(f"split_seed must be a whole number, not {short_repr(seed)}", "study", "split_seed")
    return SplitRule(how, float(fraction), seed, _read_files(document, head, base) if how == "files" else None)


def _read_files(document: Document, head: Mapping[str, Any], base: Path) -> str:
    """Return the absolute glob of the validation files."""
    files = head.get("validation_files")
    if files is None:
        raise document.error(
            "split = 'files' needs validation_files: name a file, a folder or a glob", "study", "split"
        )
    if not isinstance(files, str) or not files.strip() or "\0" in files:
        message = f"validation_files must be a file, a folder or a glob, not {short_repr(files)}"
        raise document.error(message, "study", "validation_files")
    return os.path.normpath(os.path.join(glob.escape(str(base)), files))


def _read_choice(document: Document, head: Mapping[str, Any], key: str, choices: Sequence[str]) -> str:
    """Return the choice that a key of [study] names, or the first choice if the key is missing."""
    choice = head.get(key, choices[0])
    if choice not in choices:
        hint = did_you_mean(choice, choices) if isinstance(choice, str) else ""
        raise document.error(f"{key} must be one of {', '.join(choices)}, not {short_repr(choice)}{hint}", "study", key)
    return str(choice)


def _read_phases(document: Document, defaults: Mapping[str, Setting]) -> tuple[Phase, ...]:
    tables = document.tables(document.data.get("phase", []), "phase")
    if not tables:
        raise document.error("a study needs at least one [[phase]]", "study")
    if len(tables) > PHASES_MAX:
        raise document.error(f"has {len(tables):,} phases, more than {PHASES_MAX}", "phase")
    names: list[str] = []
    for index, table in enumerate(tables):
        if "name" not in table:
            raise document.error("name is missing from [[phase]]", "phase", index)
        name = read_name(document, table["name"], "phase", index)
        if name.casefold() in map(str.casefold, names):
            raise document.error(f"two phases are named '{name}'", "phase", index, "name")
        names.append(name)
    phases: dict[str, Phase] = {}
    for index, table in enumerate(tables):
        phases[names[index]] = read_phase(document, index, table, defaults, names, phases)
    return tuple(phases.values())


def _bounds(document: Document, phases: tuple[Phase, ...]) -> dict[str, Bound]:
    """Return the bound of every phase. InputError: a grid contains an illegal combination, or excludes everything."""
    bounds: dict[str, Bound] = {}
    remaining = PERMUTATIONS_MAX
    for index, phase in enumerate(phases):
        try:
            reach = bound(phase, bounds[phase.source.name] if phase.source else None, remaining)
        except InputError as error:
            raise document.error(str(error), "phase", index) from None
        bounds[phase.name] = reach
        if reach.candidates is None:
            continue
        excluded = reach.candidates.excluded
        remaining -= len(reach.candidates.trials) + len(excluded)
        illegal = next((exclusion for exclusion in excluded if exclusion.illegal), None)
        if illegal and (phase.promotion is None or not reach.candidates.trials):
            raise document.error(_illegal_combination(phase, illegal), "phase", index, "grid")
        if not reach.candidates.trials:
            why = f": {excluded[0].reason}" if excluded and not phase.all_excludes else ""
            raise document.error(
                f"every permutation of phase '{phase.name}' is excluded{why}", "phase", index, "exclude"
            )
    return bounds


def _illegal_combination(phase: Phase, exclusion: Exclusion) -> str:
    settings: Mapping[str, Value] = exclusion.settings
    combination = ", ".join(f"{name} = {value}" for name, value in settings.items())
    remedy = "exclude it with [[phase.exclude]]"
    if "n_head" in exclusion.reason:
        remedy += " or derive n_head (n_head = 'n_embd // 64')"
    return f"phase '{phase.name}' has an illegal combination, {combination}: {exclusion.reason}; {remedy}"
