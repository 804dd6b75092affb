"""Writing study files: a promotion added to the user's own, and the snapshot that a run leaves in its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from litegpt.errors import InputError
from litegpt.files import write_whole
from litegpt.study.document import Document, read_text
from litegpt.study.expand import Expansion
from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import Phase, Promotion
from litegpt.study.settings import Setting, shown
from litegpt.study.split import SPLIT_MODES
from litegpt.study.study import Study


def append_promotion(
    text: str,
    name: str,
    promotion: Promotion,
    max_iters: int,
    settings: Mapping[str, Value] | None = None,
    grid: Mapping[str, Sequence[Value]] | None = None,
) -> str:
    """Return the text of a study file with one more phase at its end; the rest of it stays as it is, byte for byte.

    `settings` are more hyperparameters that the phase fixes, `grid` its own axes. `parse_study` tells whether the
    result is a study; InputError: the text is none, or has a phase of that name or no place for one.
    """
    import tomlkit  # here, because planning alone does not need it

    phases = Document(text, Path("study.toml")).data.get("phase", [])
    if not isinstance(phases, list) or any(isinstance(phase, dict) and phase.get("name") == name for phase in phases):
        raise InputError(f"the study has a phase {shown(name)} already")
    table = tomlkit.table()
    table.update({"name": name, "max_iters": max_iters, **(settings or {})})
    if grid:
        table.add("grid", _nested({axis: list(values) for axis, values in grid.items()}))
    table.add("promote", _nested(_promotion_table(promotion)))
    tables = tomlkit.aot()
    tables.append(table)
    added = tomlkit.document()
    added.add("phase", tables)
    line_end = "\r\n" if "\r\n" in text else "\n"
    block = tomlkit.dumps(added).strip("\n").replace("\n", line_end)
    gap = line_end if text.endswith("\n") else line_end * 2
    edited = f"{text}{gap}{block}{line_end}"
    try:
        Document(edited, Path("study.toml"))
    except InputError:
        raise InputError("the study's phases are written as one inline list: head each with [[phase]] first") from None
    return edited


def save(path: Path, text: str, expected: str) -> None:
    """Replace a study file in one step; InputError where it no longer holds `expected`, the text as it was read."""
    target = path.resolve()  # a link stays a link
    if read_text(target) != expected:
        raise InputError("changed on disk since it was read: nothing was written", path)
    try:
        write_whole(target, text.encode())
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path) from None


def snapshot(study: Study, expansions: Mapping[str, Expansion]) -> str:
    """Return the study as it runs: a study file of its own, its corpus absolute and its known grids written out.

    A grid that a promotion has spanned is written beside the promotion, so that reading the snapshot gives it again.
    """
    import tomli_w  # here, because planning alone does not need it

    document = {
        "study": {
            "name": study.name,
            "corpus": study.corpus_location,
            **{key: value for key, value in study.split.keys.items() if value != SPLIT_MODES[0]},
            "keep": study.keep,
        },
        "defaults": _plain(study.defaults),
        "phase": [_phase_table(phase, expansions.get(phase.name)) for phase in study.phases],
    }
    counts = [f"# {phase.name}: {_count(expansions.get(phase.name))}\n" for phase in study.phases]
    return f"# The study as it ran.\n{''.join(counts)}\n{tomli_w.dumps(document)}"


def _count(expansion: Expansion | None) -> str:
    if expansion is None:
        return "waits for its promotion"
    return f"{len(expansion.trials):,} trials, {len(expansion.excluded):,} excluded"


def _phase_table(phase: Phase, expansion: Expansion | None) -> dict[str, Any]:
    table: dict[str, Any] = {"name": phase.name, **_plain(phase.fixed)}
    spanned = expansion.axes if expansion is not None else {}
    axes = spanned if spanned and all(spanned.values()) else phase.axes
    if axes:
        table["grid"] = {name: list(values) for name, values in axes.items()}
    if phase.excludes:
        table["exclude"] = [dict(exclude) for exclude in phase.excludes]
    if phase.promotion:
        table["promote"] = _promotion_table(phase.promotion)
    if phase.listed:
        table["trial"] = [_plain(settings) for settings in phase.listed]
    return table


def _promotion_table(promotion: Promotion) -> dict[str, Any]:
    table = asdict(promotion)
    return {"from": table.pop("source"), **table}


def _plain(settings: Mapping[str, Setting]) -> dict[str, Value]:
    return {name: rule.source if isinstance(rule, Expression) else rule for name, rule in settings.items()}


def _nested(values: Mapping[str, object]) -> Any:
    import tomlkit

    table = tomlkit.table()
    table.indent(0)
    table.update(values)
    return table
