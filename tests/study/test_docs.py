"""docs/study.md names every key of a study file, with its default."""

from __future__ import annotations

import re
from pathlib import Path

from litegpt.estimate.packs import ITS_OWN
from litegpt.study.presets import PRESETS
from litegpt.study.settings import CHOICES, DEFAULTS
from litegpt.study.trial import HYPERPARAMETERS

PAGE = (Path(__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE[PAGE.index("## Hyperparameters") :], re.MULTILINE))


def test_every_hyperparameter_has_its_row_with_its_default() -> None:
    assert ROWS.keys() == HYPERPARAMETERS.keys()
    for name, row in ROWS.items():
        default, own, meaning = row.split(" | ", 2)
        written = str(DEFAULTS[name]) if name in DEFAULTS else "needed"
        assert default == (written.lower() if HYPERPARAMETERS[name] is bool else written), name
        assert (own == "·") == (name in ITS_OWN), name
        for choice in set(CHOICES.get(name, ())) - {DEFAULTS.get(name)}:
            assert f"`{choice}`" in meaning, name


def test_every_preset_is_in_the_page() -> None:
    listed = [name for name in PRESETS if f"`{name}`" in PAGE]
    assert {"nano", "gpt2", "gpt2-xl", "gpt3-small", "gpt3-175b"} <= set(listed)
