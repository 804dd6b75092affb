"""The rule that splits a text into training and validation, as `[study]` gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SPLIT_MODES = ("last", "blocks", "files")
SPLIT_KEYS = {
    "split": SPLIT_MODES,
    "validation_fraction": ("last", "blocks"),
    "split_seed": ("blocks",),
    "validation_files": ("files",),
}
"""The keys of [study] that describe the rule, and the modes that each key belongs to."""


@dataclass(frozen=True)
class SplitRule:
    """Which part of a text is for validation."""

    how: str = "last"  # one of SPLIT_MODES: the end, blocks drawn with `seed`, or the files that match `files`
    fraction: float = 0.1  # of the text, for 'last' and 'blocks'
    seed: int = 1337  # for 'blocks'
    files: str | None = None  # for 'files': an absolute glob; a folder means all files below it

    @property
    def keys(self) -> Mapping[str, object]:
        """The keys of [study] that describe the rule, with their values."""
        values = dict(zip(SPLIT_KEYS, (self.how, self.fraction, self.seed, self.files), strict=True))
        return {key: value for key, value in values.items() if self.how in SPLIT_KEYS[key]}

    def changes(self, earlier: SplitRule) -> list[tuple[str, object, object]]:
        """Return the keys whose values differ between this rule and an earlier one: key, value, earlier value."""
        before = earlier.keys
        return [(key, now, before[key]) for key, now in self.keys.items() if key in before and now != before[key]]

    @property
    def description(self) -> str:
        """The validation part in words."""
        match self.how:
            case "blocks":
                return f"{100 * self.fraction:g} % in blocks, seed {self.seed}"
            case "files":
                return f"the files {self.files}"
        return f"the last {100 * self.fraction:g} %"
