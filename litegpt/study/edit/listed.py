"""A phase of trials that somebody chose, added to a study file: no rule finds them again, so they are written out."""

from __future__ import annotations

import json
from collections.abc import Sequence

from litegpt.errors import InputError
from litegpt.study.edit.blocks import insert_phase, phase_bodies
from litegpt.study.edit.entries import phase_names
from litegpt.study.edit.typed import number_text
from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.settings import derived_value, shown
from litegpt.study.study import Study
from litegpt.study.trial import DEFAULTS, HYPERPARAMETERS, LENGTH, Trial


def append_chosen(
    study: Study, text: str, name: str, trials: Sequence[Trial], how: str, max_iters: int, remark: str
) -> str:
    """Return the study file with a phase of chosen trials at its end.

    narrow: their values span a new grid; exact: those trials themselves. What [defaults] says the same is left out.
    `remark` is a comment above the phase. InputError: there is a phase of that name.
    """
    if name in phase_names(text):
        raise InputError(f"the study has a phase {shown(name)} already")
    columns = {
        key: [getattr(trial, key) for trial in trials]
        for key in HYPERPARAMETERS
        if key not in LENGTH and not all(_is_default(study, key, trial) for trial in trials)
    }
    shared = {key: values[0] for key, values in columns.items() if len(set(values)) == 1}
    varying = {key: values for key, values in columns.items() if key not in shared}
    lines = [f"# {remark}", "[[phase]]", f"name = {json.dumps(name)}", f"max_iters = {max_iters}"]
    lines += [f"{key} = {_item(value)}" for key, value in shared.items()]
    if how == "narrow" and varying:
        lines.append("[phase.grid]")
        for key, values in varying.items():
            lines.append(f"{key} = [{', '.join(map(_item, sorted(set(values))))}]")
    else:
        for row in range(len(trials)):
            lines += ["[[phase.trial]]", *(f"{key} = {_item(values[row])}" for key, values in varying.items())]
    return insert_phase(text, len(phase_bodies(text)), "\n".join(lines))


def _is_default(study: Study, key: str, trial: Trial) -> bool:
    rule = study.defaults.get(key, DEFAULTS.get(key))
    if isinstance(rule, Expression):
        try:
            rule = derived_value(key, rule, vars(trial))
        except ValueError:
            return False
    return bool(rule == getattr(trial, key))


def _item(value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    return next(text for digits in range(1, 18) if float(text := number_text(value, digits)) == value)
