"""The tables of a study file: their checks, and the phases made from them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from litegpt.errors import InputError, did_you_mean
from litegpt.study.document import Document
from litegpt.study.expand import check_size
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import PROMOTION_MODES, RANKINGS, STARTS, Phase, Promotion, default_ranking, is_reserved
from litegpt.study.presets import preset_settings
from litegpt.study.settings import Setting, check_no_cycle, plain_value, resolve, setting, short_repr
from litegpt.study.trial import HYPERPARAMETERS, LENGTH, REQUIRED, of_scope

SETTINGS = ("preset", *HYPERPARAMETERS)
"""The keys that [defaults], a phase and a listed trial can set."""
_PHASE_KEYS = ("name", "grid", "exclude", "promote", "trial", *SETTINGS)
_PROMOTE_KEYS = ("from", "top", "by", "how", "start")
_NAME_MAX = 100


def read_name(document: Document, name: object, *key: str | int) -> str:
    """Return the name of a study or a phase, which is also the name of its results folder."""
    if problem := name_problem(name):
        raise document.error(problem, *key, "name")
    return str(name)


def name_problem(name: object) -> str | None:
    """Return why a study or a phase cannot have this name; None if it can."""
    if not isinstance(name, str) or not re.fullmatch(r"(?!\.)[A-Za-z0-9._-]+", name, re.ASCII):
        return f"name {short_repr(name)} must be letters, digits, '.', '_' and '-', not starting with '.'"
    if len(name) > _NAME_MAX:
        return f"name {short_repr(name)} is longer than {_NAME_MAX} characters"
    if is_reserved(name):
        return f"name {short_repr(name)} is taken by a file of the results"
    return None


def read_settings(document: Document, table: Mapping[str, Any], *key: str | int) -> dict[str, Setting]:
    """Return the hyperparameters that a table sets, plain or derived. Other keys are ignored.

    A preset counts as if its values were written first: what the table sets itself replaces them.
    """
    settings: dict[str, Setting] = {}
    if "preset" in table:
        try:
            settings.update(preset_settings(table["preset"]))
        except ValueError as error:
            raise document.error(f"preset {error}", *key, "preset") from None
    for name, raw in table.items():
        if name in HYPERPARAMETERS:
            try:
                settings[name] = setting(name, raw)
            except ValueError as error:
                raise document.error(f"{name} {error}", *key, name) from None
    return settings


def read_phase(
    document: Document,
    index: int,
    table: dict[str, Any],
    defaults: Mapping[str, Setting],
    names: list[str],
    earlier: Mapping[str, Phase],
) -> Phase:
    """Return the phase of [[phase]] table number `index`.

    `names` are the names of all phases, `earlier` the phases before this one.
    """
    key = ("phase", index)
    document.check_keys(table, _PHASE_KEYS, *key)
    name = names[index]
    fixed = read_settings(document, table, *key)
    promotion = None
    if "promote" in table:
        promotion = _read_promotion(document, document.table(table["promote"], *key, "promote"), index, names, earlier)
    # A phase that names no trials in any way is one trial with its settings.
    listed = _read_listed(document, table, *key) if table.keys() & {"grid", "trial", "promote"} else ({},)
    axes, written = _read_axes(document, table, name, *key)
    phase = Phase(
        name=name,
        defaults=defaults,
        fixed=fixed,
        axes=axes,
        excludes=_read_excludes(document, table, *key),
        listed=listed,
        promotion=promotion,
        source=earlier[promotion.source] if promotion else None,
        written=written,
    )
    _check_settings(document, phase, *key)
    return phase


def _read_axes(
    document: Document, table: dict[str, Any], phase: str, *key: str | int
) -> tuple[dict[str, tuple[Value, ...]], int]:
    """Return the axes of a phase, each value once, and the number of permutations that the file writes."""
    if "grid" not in table:
        return {}, 1
    key = (*key, "grid")
    grid = document.table(table["grid"], *key)
    document.check_keys(grid, HYPERPARAMETERS, *key)
    if not grid:
        raise document.error(f"the grid of phase '{phase}' is empty", *key)
    for name, values in grid.items():
        if not isinstance(values, list):
            raise document.error(f"{name} must be a list of values in a grid, not {short_repr(values)}", *key, name)
        if not values:
            raise document.error(f"{name} has no values in the grid of phase '{phase}'", *key, name)
        if name in table:
            raise document.error(f"{name} is an axis of the grid and also set in phase '{phase}'", *key, name)
    written = math.prod(map(len, grid.values()))
    try:
        check_size(written, phase)
    except InputError as error:
        raise document.error(str(error), *key) from None
    unique = {
        name: tuple(dict.fromkeys(_plain(document, name, value, *key) for value in values))
        for name, values in grid.items()
    }
    return unique, written


def _read_excludes(document: Document, table: dict[str, Any], *key: str | int) -> tuple[dict[str, Value], ...]:
    excludes: list[dict[str, Value]] = []
    for number, exclude in enumerate(document.tables(table.get("exclude", []), *key, "exclude")):
        where = (*key, "exclude", number)
        document.check_keys(exclude, HYPERPARAMETERS, *where)
        if not exclude:
            raise document.error("an empty exclude would leave nothing", *where)
        excludes.append({name: _plain(document, name, raw, *where) for name, raw in exclude.items()})
    return tuple(excludes)


def _read_listed(document: Document, table: dict[str, Any], *key: str | int) -> tuple[dict[str, Setting], ...]:
    listed: list[dict[str, Setting]] = []
    for number, trial in enumerate(document.tables(table.get("trial", []), *key, "trial")):
        document.check_keys(trial, SETTINGS, *key, "trial", number)
        listed.append(read_settings(document, trial, *key, "trial", number))
    return tuple(listed)


def _plain(document: Document, name: str, raw: object, *key: str | int) -> Value:
    try:
        return plain_value(name, raw)
    except ValueError as error:
        raise document.error(f"{name} {error}", *key, name) from None


def _read_promotion(
    document: Document, table: dict[str, Any], index: int, names: list[str], earlier: Mapping[str, Phase]
) -> Promotion:
    key = ("phase", index, "promote")
    document.check_keys(table, _PROMOTE_KEYS, *key)
    for needed in ("from", "top"):
        if needed not in table:
            raise document.error(f"{needed} is missing from [phase.promote] of phase '{names[index]}'", *key)
    source, top = table["from"], table["top"]
    if source not in names:
        hint = did_you_mean(source, names) if isinstance(source, str) else ""
        raise document.error(f"promotion from an unknown phase {short_repr(source)}{hint}", *key, "from")
    if source not in names[:index]:
        which = "itself" if source == names[index] else f"the later phase '{source}'"
        raise document.error(
            f"phase '{names[index]}' cannot promote from {which}: only from a phase before it", *key, "from"
        )
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise document.error(f"top must be a whole number of trials, at least 1, not {short_repr(top)}", *key, "top")
    chosen = {"by": default_ranking(earlier[source].tokens_differ())}
    for name, choices in (("by", RANKINGS), ("how", PROMOTION_MODES), ("start", STARTS)):
        if name not in table:
            continue
        value = table[name]
        if value not in choices:
            hint = did_you_mean(value, choices) if isinstance(value, str) else ""
            raise document.error(
                f"{name} must be one of {', '.join(choices)}, not {short_repr(value)}{hint}", *key, name
            )
        chosen[name] = value
    promotion = Promotion(source, top, **chosen)
    if promotion.start == "checkpoint" and promotion.how != "exact":
        raise document.error(
            "start = 'checkpoint' needs how = 'exact': a new grid has no weights to start from", *key, "start"
        )
    return promotion


def _check_settings(document: Document, phase: Phase, *key: str | int) -> None:
    """Raise InputError if the settings of a phase are illegal for every trial that may be promoted into it."""
    rules = phase.rules
    try:
        check_no_cycle(rules)
    except ValueError as error:
        raise document.error(str(error), *key) from None
    needed = LENGTH[:1] if phase.promotion else REQUIRED if phase.axes or {} in phase.listed else ()
    for name in needed:
        if name not in rules and name not in phase.axes:
            has_grid = phase.axes and name not in LENGTH
            where = "the phase, its grid or [defaults]" if has_grid else "the phase or [defaults]"
            raise document.error(f"phase '{phase.name}' sets no {name}: set it in {where}", *key)
    if phase.promotion and phase.promotion.start == "checkpoint":
        for name in of_scope("shape"):
            if name in phase.fixed or name in phase.axes:
                where_set = (*key, "grid", name) if name in phase.axes else (*key, name)
                message = f"{name} cannot change with start = 'checkpoint': the promoted weights have a shape"
                raise document.error(message, *where_set)
    for number, listed in enumerate(phase.listed):
        _, illegal = resolve({**phase.defaults, **phase.fixed, **listed})
        if illegal:
            raise document.error(f"a trial of phase '{phase.name}' is illegal: {illegal}", *key, "trial", number)
