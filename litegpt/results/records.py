"""A growing file of records that each belong to a step."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from litegpt.results.lines import LineReader, Record


class Stepped(Protocol):
    """What has a step."""

    @property
    def step(self) -> int: ...


Row = TypeVar("Row", bound=Stepped)


class RecordReader(Generic[Row]):
    """Follow a file of records. One that names again what an earlier one named (a later attempt) replaces it."""

    def __init__(self, path: Path, parse: Callable[[Record], Row | None], key: Callable[[Row], Hashable]) -> None:
        self._lines = LineReader(path)
        self._parse = parse
        self._key = key
        self._rows: dict[Hashable, Row] = {}

    @property
    def damaged(self) -> int:
        """How many lines were skipped because they are no JSON objects."""
        return self._lines.damaged

    def poll(self) -> bool:
        """Take in what was appended since the last call and return whether anything changed."""
        records = self._lines.read()
        if self._lines.restarted:
            self._rows.clear()
        for row in map(self._parse, records):
            if row is not None:
                self._rows[self._key(row)] = row
        return bool(records) or self._lines.restarted

    def rows(self) -> list[Row]:
        """Return the rows taken in so far, sorted by step."""
        return sorted(self._rows.values(), key=lambda row: row.step)
