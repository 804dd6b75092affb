"""New phases at the end of a study file: a promotion rule, or trials that a user chose.

The rest of the file stays as it is, byte for byte. Nothing here checks that the new phase is legal: `parse_study` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from litegpt.errors import InputError
from litegpt.study.document import Document
from litegpt.study.edit.phase_text import Table, phase_text
from litegpt.study.expression import Expression
from litegpt.study.settings import derived_value, short_repr
from litegpt.study.study import Study
from litegpt.study.trial import DEFAULTS, HYPERPARAMETERS, LENGTH, Trial


def append_phase(text: str, table: Table, remark: str = "") -> str:
    """Return a study file's text with one more phase at its end, and `remark` as a comment above the phase.

    InputError: the text is not TOML, has a phase of that name, or has its phases in one inline list.
    """
    phases = Document(text, Path("study.toml")).data.get("phase", [])
    names = [phase.get("name") for phase in phases if isinstance(phase, dict)] if isinstance(phases, list) else []
    if str(table["name"]).casefold() in [name.casefold() for name in names if isinstance(name, str)]:
        raise InputError(f"the study has a phase {short_repr(table['name'])} already")
    line_end = "\r\n" if "\r\n" in text else "\n"
    gap = line_end if text.endswith("\n") else line_end * 2
    edited = f"{text}{gap}{phase_text(table, remark).replace(chr(10), line_end)}{line_end}"
    try:
        Document(edited, Path("study.toml"))
    except InputError:
        raise InputError("the study's phases are written as one inline list: head each with [[phase]] first") from None
    return edited


def append_chosen(
    study: Study, text: str, name: str, trials: Sequence[Trial], how: str, max_iters: int, remark: str
) -> str:
    """Return a study file's text with a phase of chosen trials. No rule selects these, so they are written out.

    narrow: their values span a new grid; exact: the trials are listed. A value that [defaults] gives anyway is left
    out. `remark` is a comment above the phase. InputError: as `append_phase`.
    """
    columns = {
        key: [getattr(trial, key) for trial in trials]
        for key in HYPERPARAMETERS
        if key not in LENGTH and not all(_is_default(study, key, trial) for trial in trials)
    }
    shared = {key: values[0] for key, values in columns.items() if len(set(values)) == 1}
    varying = {key: values for key, values in columns.items() if key not in shared}
    table = {"name": name, "max_iters": max_iters, **shared}
    if how == "narrow" and varying:
        grid = {key: sorted(set(values)) for key, values in varying.items()}
        return append_phase(text, {**table, "grid": grid}, remark)
    listed = [{key: values[row] for key, values in varying.items()} for row in range(len(trials))]
    return append_phase(text, {**table, "trial": listed}, remark)


def _is_default(study: Study, key: str, trial: Trial) -> bool:
    rule = study.defaults.get(key, DEFAULTS.get(key))
    if isinstance(rule, Expression):
        try:
            rule = derived_value(key, rule, vars(trial))
        except ValueError:
            return False
    return bool(rule == getattr(trial, key))
