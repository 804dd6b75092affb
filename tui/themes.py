"""Themes: dark, light, colour-blind safe. Textual's `ansi-dark` and `ansi-light` use the terminal's colours."""

from __future__ import annotations

from typing import Any

from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import Theme

DARK_SERIES = ("#4cc2ff", "#ffb454", "#7ee787", "#ff7b9c", "#c792ea", "#f6e58d", "#56d4c0", "#ff9e64")
LIGHT_SERIES = ("#0969da", "#b35900", "#1a7f37", "#cf222e", "#8250df", "#7d6b00", "#0a7c86", "#a8441b")
OKABE_ITO = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2", "#bbbbbb")
ANSI_SERIES = (
    "ansi_bright_cyan",
    "ansi_bright_yellow",
    "ansi_bright_green",
    "ansi_bright_red",
    "ansi_bright_magenta",
    "ansi_cyan",
    "ansi_yellow",
    "ansi_green",
)

THEMES = (
    Theme(
        name="litegpt-dark",
        primary="#4cc2ff",
        secondary="#5a7da0",
        accent="#ffb454",
        foreground="#d6dde6",
        background="#0e1217",
        surface="#141a21",
        panel="#1d2630",
        success="#7ee787",
        warning="#ffb454",
        error="#ff7b72",
        variables={
            "border": "#33414f",
            "border-blurred": "#26313c",
            "chart-axis": "#7d8b99",
            "chart-grey": "#4a5663",
            "footer-background": "#1d2630",
        },
    ),
    Theme(
        name="litegpt-light",
        primary="#0969da",
        secondary="#57708a",
        accent="#b35900",
        foreground="#1f2328",
        background="#ffffff",
        surface="#f6f8fa",
        panel="#e8edf2",
        success="#1a7f37",
        warning="#9a6700",
        error="#cf222e",
        dark=False,
        variables={
            "border": "#b6c2ce",
            "border-blurred": "#d0d7de",
            "chart-axis": "#6e7781",
            "chart-grey": "#b6c2ce",
            "footer-background": "#e8edf2",
        },
    ),
    Theme(
        name="litegpt-colour-blind",
        primary="#56b4e9",
        secondary="#5a7da0",
        accent="#e69f00",
        foreground="#e6e6e6",
        background="#101010",
        surface="#161616",
        panel="#242424",
        success="#56b4e9",
        warning="#f0e442",
        error="#d55e00",
        variables={
            "border": "#444444",
            "border-blurred": "#303030",
            "chart-axis": "#8a8a8a",
            "chart-grey": "#555555",
            "footer-background": "#242424",
        },
    ),
)

NAMES = (*(theme.name for theme in THEMES), "ansi-dark", "ansi-light")


def series_colours(app: App[Any]) -> tuple[str, ...]:
    """Return the colours of lines, the most distinct first."""
    theme = app.current_theme
    if theme.ansi:
        return ANSI_SERIES
    if theme.name == "litegpt-colour-blind":
        return OKABE_ITO
    return DARK_SERIES if theme.dark else LIGHT_SERIES


ROLES: dict[str, tuple[str, str, str]] = {
    "axis": ("chart-axis", "ansi_bright_black", ""),
    "grey": ("chart-grey", "ansi_bright_black", ""),
    "cursor": ("accent", "ansi_yellow", ""),
    "heading": ("chart-axis", "ansi_default", "bold"),
    "sorted": ("accent", "ansi_yellow", "bold"),
    "dim": ("chart-axis", "ansi_bright_black", ""),
    "good": ("success", "ansi_green", ""),
    "warn": ("warning", "ansi_yellow", ""),
    "bad": ("error", "ansi_red", ""),
    "accent": ("accent", "ansi_yellow", ""),
    "strong": ("foreground", "ansi_default", "bold"),
    "": ("foreground", "ansi_default", ""),
}
"""Roles of text: the theme variable, the colour in the terminal's own palette, and the text style."""

ROWS: dict[str, tuple[str, float, str]] = {
    "here": ("primary", 0.32, "reverse"),
    "here_blurred": ("primary", 0.14, "bold"),
    "marked": ("accent", 0.18, "bold"),
}
"""Rows with a background: the theme variable, its opacity, and the text style for terminals without shades."""


def drawn_style(app: App[Any], role: str) -> Style:
    """Return the style of a role or of a colour name. Styles are cached."""
    key = (app.theme, app.no_color, role)
    style = _STYLES.get(key)
    if style is None:
        style = _STYLES[key] = _style(app, role)
    return style


def has_shades(app: App[Any]) -> bool:
    """True if backgrounds can have shades of the theme's colours."""
    return not (app.no_color or app.current_theme.ansi)


_STYLES: dict[tuple[str, bool, str], Style] = {}


def _style(app: App[Any], role: str) -> Style:
    variables, is_ansi = app.theme_variables, app.current_theme.ansi
    if role == "cut":
        return Style(underline=True)
    if role in ROWS:
        name, share, text_style = ROWS[role]
        if not has_shades(app):
            return Style.parse(text_style)
        background = Color.parse(variables["background"]).blend(Color.parse(variables[name]), share)
        return Style.from_color(None, background.rich_color)
    name, ansi, text_style = ROLES.get(role, (role, role, ""))
    colour = Color.parse(ansi if is_ansi else variables.get(name, name))
    return Style.from_color(colour.rich_color) + Style.parse(text_style or "none")
