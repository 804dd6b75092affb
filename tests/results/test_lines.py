from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litegpt.results import lines
from litegpt.results.lines import LineReader, LineWriter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4)


def with_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(path: Path) -> list[dict[str, Any]]:
    return LineReader(path).read()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(RECORDS, max_size=4), poll_after=st.lists(st.booleans(), min_size=4, max_size=4))
def test_lines_are_read_in_the_order_of_writing(
    path: Path, batches: list[list[dict[str, Any]]], poll_after: list[bool]
) -> None:
    path.unlink(missing_ok=True)
    reader, received = LineReader(path), []
    with LineWriter(path) as writer:
        for batch, poll in zip(batches, poll_after, strict=False):
            writer.append(*batch)
            if poll:
                received += reader.read()
    received += reader.read()
    assert received == [with_null(record) for batch in batches for record in batch]
    assert reader.damaged == 0
    assert not reader.restarted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | st.text(alphabet='{}[]":,\n01eE.-ntf\\u ').map(str.encode))
def test_any_bytes_as_lines(path: Path, data: bytes) -> None:
    path.write_bytes(data + b'\n{"last": 1}\n')
    assert read(path)[-1] == {"last": 1}


def test_nan_and_infinity_become_null_at_any_depth(path: Path) -> None:
    with LineWriter(path) as writer:
        writer.append({"loss": math.nan, "nested": {"list": [1.5, -math.inf, (math.inf,)]}})
    assert path.read_text() == '{"loss": null, "nested": {"list": [1.5, null, [null]]}}\n'


def test_nan_tokens_of_other_programs_read_as_null(path: Path) -> None:
    path.write_text('{"loss": NaN, "best": -Infinity}\n')
    assert read(path) == [{"loss": None, "best": None}]


def test_files_have_letters_but_no_terminal_escapes(path: Path) -> None:
    text = "Глава 1 \x1b[2J\x7f\x9b\u202e\ud800"
    with LineWriter(path) as writer:
        writer.append({"text": text})
    raw = path.read_text(encoding="utf-8")
    assert "Глава 1" in raw
    assert raw.removesuffix("\n").isprintable()
    assert read(path) == [{"text": text}]


def test_a_batch_with_an_invalid_record_writes_nothing(path: Path) -> None:
    with LineWriter(path) as writer, pytest.raises(TypeError):
        writer.append({"fine": 1}, {"path": object()})
    assert path.read_bytes() == b""


def test_a_batch_is_one_write(path: Path) -> None:
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("nothing counts system calls here")

    def writes() -> int:
        return int(dict(line.split(": ") for line in counters.read_text().splitlines())["syscw"])

    with LineWriter(path) as writer:
        before = writes()
        writer.append(*({"step": step, "text": "x" * 1000} for step in range(1000)))
        assert writes() == before + 1


@pytest.mark.parametrize("cut", range(1, 10))
def test_an_incomplete_last_line_is_lost_alone(path: Path, cut: int) -> None:
    whole = b'{"step": 1}\n'
    path.write_bytes(whole + b'{"step": 2}'[:cut])
    assert read(path) == [{"step": 1}]
    reader = LineReader(path)
    reader.read()
    with LineWriter(path) as writer:
        writer.append({"step": 3})
    assert reader.read() == [{"step": 3}]
    assert reader.damaged == 1
    assert not reader.restarted


def test_a_last_line_without_newline_is_kept(path: Path) -> None:
    path.write_bytes(b'{"step": 1}')
    assert read(path) == []
    LineWriter(path).close()
    assert read(path) == [{"step": 1}]


@pytest.mark.parametrize(
    "damage",
    [
        b'{"step": ',
        b"null",
        b"[1]",
        b'"text"',
        b"\x00\x00\x00",
        b'{"text": "\xff\xfe"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"step": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_damaged_line_in_the_middle_is_skipped_and_counted(path: Path, damage: bytes) -> None:
    path.write_bytes(b'{"step": 1}\n' + damage + b'\n{"step": 2}\n')
    reader = LineReader(path)
    assert reader.read() == [{"step": 1}, {"step": 2}]
    assert reader.damaged == 1


def test_blank_lines_and_windows_line_ends_are_accepted(path: Path) -> None:
    path.write_bytes(b'\n{"step": 1}\r\n \t\n{"step": 2}\n\n')
    reader = LineReader(path)
    assert [record["step"] for record in reader.read()] == [1, 2]
    assert reader.damaged == 0


def test_a_missing_file_reads_as_empty_until_it_exists(path: Path) -> None:
    reader = LineReader(path)
    assert reader.read() == []
    path.write_text('{"step": 1}\n')
    assert reader.read() == [{"step": 1}]
    assert not reader.restarted


def test_an_unchanged_file_has_no_new_records(path: Path) -> None:
    path.write_text('{"step": 1}\n{"st')
    reader = LineReader(path)
    assert len(reader.read()) == 1
    assert reader.read() == []
    with path.open("a") as file:
        file.write('ep": 2}\n')
    assert reader.read() == [{"step": 2}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"old": 1}\n{"old": 2}\n', '{"new": 1}\n'),
        ('{"old": 1}\n', '{"new": 1}\n'),
        ('{"old": 1}\n', '{"new": 1}\n{"new": 2}\n'),
    ],
    ids=["shorter", "as long", "longer"],
)
@pytest.mark.parametrize("how", ["rename", "in place", "removed and made again"])
def test_a_replaced_file_is_read_from_its_start(path: Path, before: str, after: str, how: str) -> None:
    path.write_text(before + "torn")
    reader = LineReader(path)
    assert all("old" in record for record in reader.read())
    if how == "rename":
        other = path.with_suffix(".new")
        other.write_text(after)
        os.replace(other, path)
    else:
        if how != "in place":
            path.unlink()
        path.write_text(after)
    assert reader.read() == [json.loads(line) for line in after.splitlines()]
    assert reader.restarted
    assert reader.read() == []
    assert not reader.restarted


def test_a_removed_file_is_reported_once(path: Path) -> None:
    path.write_text('damaged\n{"step": 1}\n')
    reader = LineReader(path)
    reader.read()
    path.unlink()
    assert reader.read() == []
    assert reader.restarted
    assert reader.damaged == 0
    assert reader.read() == []
    assert not reader.restarted


def test_lines_longer_than_a_chunk(path: Path) -> None:
    text = "x" * (3 * lines.CHUNK_BYTES)
    with LineWriter(path) as writer:
        writer.append({"text": text}, {"step": 1})
    assert read(path) == [{"text": text}, {"step": 1}]


def test_an_endless_line_needs_bounded_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 64)
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 256)
    reader = LineReader(path)
    path.write_bytes(b'{"step": 1}\n' + b"x" * 1000)
    assert reader.read() == [{"step": 1}]
    for end in (b"x" * 1000, b'x\n{"step": 2}\n'):
        with path.open("ab") as file:
            file.write(end)
        records = reader.read()
    assert records == [{"step": 2}]
    assert reader.damaged == 1
    assert not reader.restarted


def test_a_full_disk_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with LineWriter(full) as writer, pytest.raises(OSError, match="No space left"):
        writer.append({"step": 1})


def test_a_batch_on_a_full_disk_is_rolled_back(path: Path) -> None:
    """Limit the size of files, which cuts a write short as a full disk does."""
    script = f"""
import resource, sys
from pathlib import Path
from litegpt.results.lines import LineWriter
writer = LineWriter(Path(sys.argv[1]))
writer.append({{"step": 1}})
resource.setrlimit(resource.RLIMIT_FSIZE, (20, {resource.RLIM_INFINITY}))
try:
    writer.append({{"step": 2}}, {{"step": 3}})
except OSError:
    pass
else:
    sys.exit("nothing was raised")
resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))
writer.append({{"step": 4}})
"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, env=environment())
    reader = LineReader(path)
    assert reader.read() == [{"step": 1}, {"step": 4}]
    assert reader.damaged == 0


APPEND_FOR_EVER = """
import sys
from pathlib import Path
from litegpt.results.lines import LineWriter
with LineWriter(Path(sys.argv[1])) as writer:
    step = int(sys.argv[2])
    while step < int(sys.argv[3]):
        writer.append(*({"step": step + i, "text": "x" * 500} for i in range(7)), sync=step % 700 == 0)
        step += 7
"""


def start_writer(path: Path, first: int, last: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", APPEND_FOR_EVER, str(path), str(first), str(last)]
    return subprocess.Popen(arguments, env=environment())


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_a_concurrent_reader_sees_every_line_once(path: Path) -> None:
    writer = start_writer(path, 0, 7000)
    reader, steps = LineReader(path), []
    while True:
        has_ended = writer.poll() is not None
        steps += [record["step"] for record in reader.read()]
        assert not reader.restarted
        if has_ended:
            break
    assert writer.returncode == 0
    assert steps == list(range(7000))
    assert reader.damaged == 0


def test_a_killed_writer_loses_at_most_its_last_line(path: Path) -> None:
    first = 0
    for _ in range(3):
        writer = start_writer(path, first, 10**9)
        reader = LineReader(path)
        seen = 0
        while seen < first + 70:
            seen += len(reader.read())
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        reader = LineReader(path)
        steps = [record["step"] for record in reader.read()]
        assert steps == list(range(len(steps)))
        assert reader.damaged <= 1
        first = len(steps)
