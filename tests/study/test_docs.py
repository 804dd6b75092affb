"""docs/study.md names every hyperparameter and every preset of a study file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from litegpt.study.hyperparameter import Hyperparameter
from litegpt.study.presets import PRESETS
from litegpt.study.trial import HYPERPARAMETERS

PAGE = (Path(__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Hyperparameters") :]


def documented(hyperparameter: Hyperparameter) -> str:
    """Return the row that the table of the page has for a hyperparameter."""
    default = "needed" if hyperparameter.default is None else str(hyperparameter.default).lower()
    dot = "·" if hyperparameter.scope == "trial" else ""
    return f"| `{hyperparameter.name}` | {default} | {dot} | {hyperparameter.help} |"


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_the_page_has_a_row_for_every_hyperparameter(name: str) -> None:
    assert documented(HYPERPARAMETERS[name]) in SECTION.splitlines()


def test_the_page_has_no_row_for_anything_else() -> None:
    assert re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE) == list(HYPERPARAMETERS)


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_the_help_of_a_hyperparameter_names_its_choices(name: str) -> None:
    assert all(f"`{choice}`" in HYPERPARAMETERS[name].help for choice in HYPERPARAMETERS[name].choices)


def test_every_preset_is_in_the_page() -> None:
    listed = [name for name in PRESETS if f"`{name}`" in PAGE]
    assert {"nano", "gpt2", "gpt2-xl", "gpt3-small", "gpt3-175b"} <= set(listed)
