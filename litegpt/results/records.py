"""Readers of append-only files whose records belong to steps."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from litegpt.results.lines import LineReader, Record


class Stepped(Protocol):
    """A row with a step."""

    @property
    def step(self) -> int: ...


Row = TypeVar("Row", bound=Stepped)


class RecordReader(Generic[Row]):
    """Follow a file of records. A record with the same key replaces the earlier one, as after another attempt."""

    def __init__(self, path: Path, parse: Callable[[Record], Row | None], key: Callable[[Row], Hashable]) -> None:
        self._lines = LineReader(path)
        self._parse = parse
        self._key = key
        self._rows: dict[Hashable, Row] = {}

    @property
    def damaged(self) -> int:
        """Number of lines that were skipped because they are not JSON objects."""
        return self._lines.damaged

    def poll(self) -> bool:
        """Read the records appended since the last call and return whether anything changed."""
        records = self._lines.read()
        if self._lines.restarted:
            self._rows.clear()
        for row in map(self._parse, records):
            if row is not None:
                self._rows[self._key(row)] = row
        return bool(records) or self._lines.restarted

    def rows(self) -> list[Row]:
        """Return the rows read so far, sorted by step."""
        return sorted(self._rows.values(), key=lambda row: row.step)
