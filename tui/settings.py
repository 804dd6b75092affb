"""The user's settings, from settings.toml in the platform's config folder."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from tui.view import APPLICATION

REFRESH_SECONDS = 0.5


@dataclass(frozen=True)
class Settings:
    """The settings; `problem` is one line about the invalid parts of the file."""

    theme: str = "litegpt-dark"
    refresh_seconds: float = REFRESH_SECONDS
    bell: bool = True
    # The keys of a binding id, separated by commas.
    keymap: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


def settings_path() -> Path:
    """Return the path of settings.toml."""
    return platformdirs.user_config_path(APPLICATION) / "settings.toml"


def load_settings(path: Path) -> Settings:
    """Load the settings. Invalid ones keep their defaults and are named in `problem`."""
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        return Settings(problem=f"{path}: {error}")
    wrong = set(record) - set(_VALID)
    valid = {}
    for name, is_valid in _VALID.items():
        if name in record:
            if is_valid(record[name]):
                valid[name] = record[name]
            else:
                wrong.add(name)
    return Settings(**valid, problem=f"{path}: ignored {', '.join(sorted(wrong))}" if wrong else None)


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.1 <= value <= 60


def _is_keymap(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(keys, str) for keys in value.values())


_VALID: dict[str, Callable[[object], bool]] = {
    "theme": lambda value: isinstance(value, str),
    "refresh_seconds": _is_seconds,
    "bell": lambda value: isinstance(value, bool),
    "keymap": _is_keymap,
}
