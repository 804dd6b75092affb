"""The study file of an imported study: grids, or lists of trials, that give exactly the imported trials."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from litegpt.analysis.imported import ImportedPhase
from litegpt.display import inert
from litegpt.files import write_whole
from litegpt.results.folder import StudyFolder
from litegpt.study.document import read_text
from litegpt.study.edit.append import append_phase
from litegpt.study.edit.phase_text import value_text
from litegpt.study.edit.save import save
from litegpt.study.study import parse_study
from litegpt.study.trial import DEFAULTS, HYPERPARAMETERS, LENGTH, Trial

GRID_SHARE = 2  # permutations per trial: a sparser phase is written as a list of trials
EXCLUDES_MAX = 20
CORPUS = """\
# The text was not imported. Name it here to measure what the trials copied from it, and to train more.
corpus = "corpus.txt"
"""

Table = dict[str, Any]


def write_study_file(folder: StudyFolder, phases: Sequence[ImportedPhase], sources: Sequence[str]) -> None:
    """Add the phases to the study file in the results folder, which is created if it is missing.

    Each phase has a comment that names the source it was imported from. InputError, with nothing written: the phases or
    their values would not make a legal study.
    """
    path = folder.snapshot
    original = read_text(path, follow_links=False) if path.exists() else None
    text = original or f"[study]\nname = {value_text(folder.study)}\n{CORPUS}"
    for phase, source in zip(phases, sources, strict=True):
        table = _phase_table(phase.name, [trial.settings for trial in phase.trials])
        text = append_phase(text, table, f"{len(phase.trials):,} trials, imported from {inert(source)}")
    parse_study(text, path)
    if original is None:
        write_whole(path, text.encode())
    else:
        save(path, text, expected=original)


def _phase_table(name: str, trials: Sequence[Trial]) -> Table:
    axes = {name: list(dict.fromkeys(getattr(trial, name) for trial in trials)) for name in HYPERPARAMETERS}
    table: Table = {"name": name}
    table |= {name: values[0] for name, values in axes.items() if len(values) == 1 and values[0] != DEFAULTS.get(name)}
    axes = {name: values for name, values in axes.items() if len(values) > 1}
    heads = _heads(trials) if "n_head" in axes and "n_embd" in axes else None
    if heads is not None:
        table["n_head"] = heads
        del axes["n_head"]
    if not axes:
        axes = {"learning_rate": [table.pop("learning_rate")]}
    points = {tuple(getattr(trial, name) for name in axes) for trial in trials}
    excludes = _excludes(axes, points)
    if excludes is None:
        return {**table, "trial": [dict(zip(axes, point, strict=True)) for point in sorted(points)]}
    return {**table, "grid": axes, **({"exclude": excludes} if excludes else {})}


def _heads(trials: Sequence[Trial]) -> str | None:
    """Return the rule that derives the heads from the width, if all trials have heads of one size."""
    width = trials[0].n_embd // trials[0].n_head
    return f"n_embd // {width}" if all(trial.n_head * width == trial.n_embd for trial in trials) else None


def _excludes(axes: Mapping[str, Sequence[Any]], points: set[tuple[Any, ...]]) -> list[Table] | None:
    """Return the exclusions that leave exactly these points of a grid, in the most general rules.

    None if the grid would be too sparse or need too many exclusions.
    """
    if math.prod(map(len, axes.values())) > GRID_SHARE * len(points):
        return None
    missing = set(itertools.product(*axes.values())) - points
    excludes: list[Table] = []
    positions = [position for position, name in enumerate(axes) if name not in LENGTH]
    for count in range(1, len(axes) + 1):
        for chosen in itertools.combinations(positions, count):
            if not missing:
                return excludes
            kept = {tuple(point[position] for position in chosen) for point in points}
            rules = {tuple(point[position] for position in chosen) for point in missing} - kept
            names = [list(axes)[position] for position in chosen]
            excludes += [dict(zip(names, rule, strict=True)) for rule in sorted(rules)]
            if len(excludes) > EXCLUDES_MAX:
                return None
            missing -= {point for point in missing if tuple(point[position] for position in chosen) in rules}
    return None if missing else excludes
