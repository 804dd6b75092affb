"""The user's settings: settings.toml in the platform's config folder."""

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
    """What a user may set; `problem` says in one line what of the file could not be used."""

    theme: str = "litegpt-dark"
    refresh_seconds: float = REFRESH_SECONDS
    bell: bool = True
    keymap: Mapping[str, str] = field(default_factory=dict)  # binding id -> keys, separated by commas
    problem: str | None = None


def settings_path() -> Path:
    """Return where the settings are."""
    return platformdirs.user_config_path(APPLICATION) / "settings.toml"


def load_settings(path: Path) -> Settings:
    """Return the settings; what is wrong in the file is left at its default and named in `problem`."""
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        return Settings(problem=f"{path}: {error}")
    wrong = set(record) - set(_SOUND)
    sound = {}
    for name, is_sound in _SOUND.items():
        if name in record:
            if is_sound(record[name]):
                sound[name] = record[name]
            else:
                wrong.add(name)
    return Settings(**sound, problem=f"{path}: passed over {', '.join(sorted(wrong))}" if wrong else None)


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.1 <= value <= 60


def _is_keymap(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(keys, str) for keys in value.values())


_SOUND: dict[str, Callable[[object], bool]] = {
    "theme": lambda value: isinstance(value, str),
    "refresh_seconds": _is_seconds,
    "bell": lambda value: isinstance(value, bool),
    "keymap": _is_keymap,
}
