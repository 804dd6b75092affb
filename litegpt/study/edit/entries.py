"""The entries of a phase in a study file, and the edits of one entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tomlkit

from litegpt.errors import InputError
from litegpt.study.edit.blocks import edit_block, parsed, phase_bodies, split_blocks
from litegpt.study.edit.typed import typed_axis, typed_combination, typed_setting
from litegpt.study.phase import PROMOTION_MODES, RANKINGS, STARTS
from litegpt.study.presets import preset_settings
from litegpt.study.settings import short_repr
from litegpt.study.tables import SETTINGS

Kind = Literal["phase", "promote", "grid", "exclude", "trial", "defaults"]
"""The table an entry is in: the phase's own keys, one of the phase's tables, or the study's [defaults]."""

PROMOTE = {"from": (), "top": (), "by": RANKINGS, "how": PROMOTION_MODES, "start": STARTS}
_NEEDED = ("name", "from", "top")


@dataclass(frozen=True)
class EntryAddress:
    """The position of an entry: the key in its table, or the number of an exclude or trial (None for a new one)."""

    kind: Kind
    name: str = ""
    number: int | None = None


@dataclass(frozen=True)
class Entry:
    """One entry as text, as a user types it: a list of values, one value, or a combination of settings."""

    address: EntryAddress
    text: str
    count: int = 1  # values of an axis


def phase_names(text: str) -> list[str]:
    """Return the names of the phases, '?' for a phase without a name."""
    return [str(_phase(body).get("name", "?")) for body in phase_bodies(text)]


def phase_entries(text: str, phase: int) -> list[Entry]:
    """Return the entries of a phase, followed by the defaults of the study."""
    table = _phase(phase_bodies(text)[phase])
    entries = [
        Entry(EntryAddress("phase", name), _shown(value))
        for name, value in table.items()
        if name == "name" or name in SETTINGS
    ]
    entries += [Entry(EntryAddress("promote", name), _shown(value)) for name, value in _table(table, "promote").items()]
    for name, values in _table(table, "grid").items():
        items = list(values) if isinstance(values, list) else [values]
        entries.append(Entry(EntryAddress("grid", name), ", ".join(map(_shown, items)), len(items)))
    kinds: tuple[Kind, Kind] = ("exclude", "trial")
    for kind in kinds:
        for number, combination in enumerate(table.get(kind, [])):
            entries.append(Entry(EntryAddress(kind, number=number), _combination(combination)))
    for block in split_blocks(text):
        if block.phase is None:
            defaults = _table(parsed(block.body), "defaults")
            entries += [Entry(EntryAddress("defaults", name), _shown(value)) for name, value in defaults.items()]
    return entries


def set_entry(text: str, phase: int, address: EntryAddress, typed: str) -> str:
    """Return the text with an entry set, or added, as typed. InputError: the entry cannot have that value."""
    if address.kind in ("exclude", "trial"):
        settings = typed_combination(typed, may_derive=address.kind == "trial")
        return edit_block(text, phase, lambda table: _set_combination(table, address, settings))
    if address.kind == "defaults":
        item = _value(_typed_setting(address.name, typed))
        return edit_block(text, None, lambda document: _set_default(document, address.name, item))
    if address.kind == "grid":
        items = typed_axis(address.name, typed)
        return edit_block(text, phase, lambda table: _set_axis(table, address.name, items))
    if address.kind == "promote":
        item = _value(_typed_promotion(address.name, typed))
        return edit_block(text, phase, lambda table: _put(table["promote"], address.name, item))
    if address.name == "name":
        return _rename(text, phase, typed.strip())
    item = _value(_typed_setting(address.name, typed))
    return edit_block(text, phase, lambda table: _set_fixed(table, address.name, item))


def remove_entry(text: str, phase: int, address: EntryAddress) -> str:
    """Return the text without an entry. InputError: the entry is required."""
    if address.kind in ("phase", "promote") and address.name in _NEEDED:
        raise InputError(f"{address.name} cannot be left out")
    if address.kind == "defaults":
        return edit_block(text, None, lambda document: _remove(document, "defaults", address.name))
    if address.kind == "phase":
        return edit_block(text, phase, lambda table: table.remove(address.name))
    key = address.name if address.number is None else address.number
    return edit_block(text, phase, lambda table: _remove(table, address.kind, key))


def _set_axis(table: Any, name: str, items: tuple[str, ...]) -> str | None:
    if name in table:
        table.remove(name)  # an axis cannot also be a setting
    if "grid" not in table:
        return f"[phase.grid]\n{name} = [{', '.join(items)}]"
    values = table["grid"].get(name)
    if isinstance(values, list) and "\n" in values.as_string() and _change_lines(values, items):  # type: ignore[attr-defined]
        return None
    _put(table["grid"], name, _value(f"[{', '.join(items)}]"))
    return None


def _change_lines(array: Any, items: tuple[str, ...]) -> bool:
    """Edit an array that is written over several lines and keep its comments; return whether that was possible."""
    wanted = [_value(item) for item in items]
    for number in reversed(range(len(array))):
        if array[number] not in wanted:
            del array[number]
    for number, item in enumerate(wanted):
        if number >= len(array) or array[number] != item:
            array.insert(number, item)
    return list(array) == wanted


def _set_fixed(table: Any, name: str, item: Any) -> None:
    if name in _table(table, "grid"):
        _remove(table, "grid", name)
    _put(table, name, item)


def _set_default(document: Any, name: str, item: Any) -> str | None:
    if "defaults" not in document:
        return f"\n[defaults]\n{name} = {item.as_string()}"
    _put(document["defaults"], name, item)
    return None


def _set_combination(table: Any, address: EntryAddress, settings: Mapping[str, str]) -> str | None:
    tables = table.get(address.kind)
    if address.number is None:
        lines = [f"{name} = {item}" for name, item in settings.items()]
        if tables is None or not isinstance(tables, tomlkit.items.Array):
            return "\n".join([f"[[phase.{address.kind}]]", *lines])
        tables.append(_value(f"{{{', '.join(lines)}}}"))
        return None
    combination = tables[address.number]
    for name in [name for name in combination if name not in settings]:
        combination.remove(name)
    for name, item in settings.items():
        _put(combination, name, _value(item))
    return None


def _rename(text: str, phase: int, name: str) -> str:
    """Return the text with a phase renamed, also in the phases that promote from it."""
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    old, item = phase_names(text)[phase], _value(json.dumps(name, ensure_ascii=False))
    if name != old and name in phase_names(text):
        raise InputError(f"two phases would be named {short_repr(name)}")
    edited = edit_block(text, phase, lambda table: _put(table, "name", item))
    for number, body in enumerate(phase_bodies(edited)):
        if number != phase and _table(_phase(body), "promote").get("from") == old:
            edited = edit_block(edited, number, lambda table: _put(table["promote"], "from", item))
    return edited


def _typed_promotion(name: str, typed: str) -> str:
    typed = typed.strip().strip('"')
    if name not in PROMOTE:
        raise InputError(f"a promotion has no {short_repr(name)}: one of {', '.join(PROMOTE)}")
    if name == "top":
        if not typed.isdecimal() or not int(typed):
            raise InputError(f"top must be a whole number of trials, at least 1, not {short_repr(typed)}")
        return typed
    if PROMOTE[name] and typed not in PROMOTE[name]:
        raise InputError(f"{name} must be one of {', '.join(PROMOTE[name])}, not {short_repr(typed)}")
    return json.dumps(typed, ensure_ascii=False)


def _typed_setting(key: str, typed: str) -> str:
    if key != "preset":
        return typed_setting(key, typed)
    name = typed.strip().strip('"')
    try:
        preset_settings(name)
    except ValueError as error:
        raise InputError(f"preset {error}") from None
    return json.dumps(name)


def _put(table: Any, name: str, item: Any) -> None:
    if name not in table or table[name].as_string() != item.as_string():
        table[name] = item


def _remove(table: Any, kind: str, key: str | int) -> None:
    """Remove a key, or one table of an array. A table that becomes empty is removed, too."""
    part = table[kind]
    if isinstance(key, int):
        del part[key]
    else:
        part.remove(key)
    if not len(part):
        table.remove(kind)


def _value(item: str) -> Any:
    return tomlkit.parse(f"x = {item}\n")["x"]


def _phase(body: str) -> Any:
    return parsed(body)["phase"][0]


def _table(table: Any, kind: str) -> Mapping[str, Any]:
    part = table.get(kind, {})
    return part if isinstance(part, Mapping) else {}


def _combination(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_shown(value)}" for name, value in settings.items())


def _shown(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    written = getattr(value, "as_string", None)
    return str(written()) if written else str(value)
