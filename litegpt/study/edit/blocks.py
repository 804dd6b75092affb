"""The text of a study file as blocks: each [[phase]] with the comments above it, and the parts between phases.

An edit changes one block. All others stay as they are, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from litegpt.errors import InputError
from litegpt.study.document import Document, KeyPath, key_lines

ANYWHERE = Path("study.toml")


@dataclass(frozen=True)
class Block:
    """A part of the file: a phase, or something else (None); `gap` is the blank space after it."""

    phase: int | None
    body: str
    gap: str


def split_blocks(text: str) -> list[Block]:
    """Split a text into blocks that together are the text. InputError: the phases are not headed [[phase]] each."""
    owners: dict[int, int | None] = {}  # the phase that each line with a key belongs to
    for path, line in sorted(key_lines(text).items(), key=lambda entry: (entry[1], len(entry[0]))):
        if path != ("phase",):
            owners.setdefault(line, _phase_of(path))
    lines = text.splitlines(keepends=True)
    starts: list[tuple[int, int | None]] = [(0, None)]
    for line, owner in sorted(owners.items()):
        if owner != starts[-1][1]:
            starts.append((_above(lines, line - 1), owner))
    ends = [start for start, _ in starts[1:]] + [len(lines)]
    blocks = [_block(owner, "".join(lines[start:end])) for (start, owner), end in zip(starts, ends, strict=True)]
    written = Document(text, ANYWHERE).data.get("phase", [])
    if not isinstance(written, list) or len(written) != sum(block.phase is not None for block in blocks):
        raise InputError("the study's phases are written inline: head each with [[phase]] to edit them here")
    return blocks


def join_blocks(blocks: Sequence[Block], line_end: str = "\n") -> str:
    """Join blocks; phases without a blank line between them get one."""
    parts: list[str] = []
    for number, block in enumerate(blocks):
        gap = block.gap
        if number < len(blocks) - 1 and block.body and blocks[number + 1].phase is not None and gap.count("\n") < 2:
            gap = line_end * 2
        parts += [block.body, gap]
    text = "".join(parts)
    return text if text.endswith("\n") else text + line_end


def edit_block(text: str, phase: int | None, change: Callable[[Any], object]) -> str:
    """Return the text after `change` of the table of a phase, or of the document that holds [study] and [defaults].

    `change` edits tomlkit's data, which keeps comments and order. If it returns a text, that is added to the end of the
    block.
    """
    blocks, line_end = split_blocks(text), line_end_of(text)
    index = next(index for index, block in enumerate(blocks) if block.phase == phase)
    if phase is None:
        holders = (n for n, block in enumerate(blocks) if block.phase is None and "defaults" in parsed(block.body))
        index = next(holders, index)
    block = blocks[index]
    document = parsed(block.body + line_end)
    try:
        more = change(document if phase is None else document["phase"][0])
        body = tomlkit.dumps(document).rstrip()
    except (TOMLKitError, TypeError, AttributeError) as error:
        raise InputError(f"this part of the file cannot be edited here: {' '.join(str(error).split())}") from None
    if isinstance(more, str):
        body += f"\n{more.rstrip()}"
    if line_end != "\n":
        body = body.replace("\r\n", "\n").replace("\n", line_end)
    blocks[index] = replace(block, body=body, gap=block.gap or line_end)
    edited = "".join(block.body + block.gap for block in blocks)
    Document(edited, ANYWHERE)
    return edited


def insert_phase(text: str, phase: int, body: str) -> str:
    """Return the text with a new phase, which becomes phase number `phase`."""
    line_end, bodies = line_end_of(text), phase_bodies(text)
    bodies.insert(phase, body.rstrip().replace("\r\n", "\n").replace("\n", line_end))
    return _with_bodies(text, bodies)


def delete_phase(text: str, phase: int) -> str:
    """Return the text without a phase and the comments directly above it."""
    bodies = phase_bodies(text)
    del bodies[phase]
    return _with_bodies(text, bodies)


def move_phase(text: str, phase: int, to: int) -> str:
    """Return the text with a phase moved to number `to`."""
    bodies = phase_bodies(text)
    bodies.insert(to, bodies.pop(phase))
    return _with_bodies(text, bodies)


def phase_bodies(text: str) -> list[str]:
    """Return the part of the text of each phase."""
    return [block.body for block in split_blocks(text) if block.phase is not None]


def line_end_of(text: str) -> str:
    """Return the line end that a text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def _with_bodies(text: str, bodies: Sequence[str]) -> str:
    blocks, line_end = split_blocks(text), line_end_of(text)
    first = next((index for index, block in enumerate(blocks) if block.phase is not None), len(blocks))
    phases = [block for block in blocks if block.phase is not None]
    gaps = [block.gap for block in phases[:-1]][: len(bodies) - 1] if bodies else []
    gaps += [line_end * 2] * (len(bodies) - 1 - len(gaps)) + [phases[-1].gap if phases else line_end]
    fresh = [Block(index, body, gap) for index, (body, gap) in enumerate(zip(bodies, gaps, strict=False))]
    others = [block for block in blocks[first:] if block.phase is None]
    return join_blocks([*blocks[:first], *fresh, *others], line_end)


def _phase_of(path: KeyPath) -> int | None:
    return path[1] if path[0] == "phase" and len(path) > 1 and isinstance(path[1], int) else None


def _above(lines: Sequence[str], line: int) -> int:
    """Return the first line of the comments directly above a header."""
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line


def _block(phase: int | None, text: str) -> Block:
    body = text.rstrip()
    return Block(phase, body, text[len(body) :])


def parsed(body: str) -> Any:
    """Parse TOML into tomlkit's data. InputError: tomlkit cannot read it."""
    try:
        return tomlkit.parse(body)
    except TOMLKitError as error:
        raise InputError(f"this part of the file cannot be edited here: {' '.join(str(error).split())}") from None
