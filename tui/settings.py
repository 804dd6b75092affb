"""The user's settings: settings.toml in the platform's config folder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
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
    wrong = sorted(set(record) - {"theme", "refresh_seconds", "bell", "keymap"})
    theme, bell, keymap = record.get("theme", Settings.theme), record.get("bell", True), record.get("keymap", {})
    refresh = record.get("refresh_seconds", REFRESH_SECONDS)
    if not isinstance(theme, str):
        theme = wrong.append("theme") or Settings.theme
    if not isinstance(bell, bool):
        bell = wrong.append("bell") or True
    if isinstance(refresh, bool) or not isinstance(refresh, int | float) or not 0.1 <= refresh <= 60:
        refresh = wrong.append("refresh_seconds") or REFRESH_SECONDS
    if not isinstance(keymap, dict) or not all(isinstance(keys, str) for keys in keymap.values()):
        keymap = wrong.append("keymap") or {}
    problem = f"{path}: passed over {', '.join(wrong)}" if wrong else None
    return Settings(theme, float(refresh), bell, keymap, problem)
