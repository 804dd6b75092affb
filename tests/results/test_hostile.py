"""Results from a stranger: no link is followed, no more is allocated than the files have, no escape is printed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litegpt.cli.main import main
from litegpt.errors import InputError
from litegpt.results import fields
from litegpt.results.folder import StudyFolder
from litegpt.results.lines import LineReader, LineWriter
from litegpt.results.weights import weights_fault
from litegpt.train.checkpoint import read_checkpoint

KEPT = Path(__file__).parent / "written_by_0_1"
BEST = KEPT / "kept" / "first" / "1x4-t8-b2-lr0.01-i20-7a01aedb" / "best.safetensors"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    return StudyFolder(tmp_path, "kept")


def safetensors(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(entry: Any) -> bytes:
    return safetensors({"__metadata__": {"state": "{}", "sha256": "0"}, "a": entry})


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def huge(elements: int) -> bytes:
    header, data = parts(BEST.read_bytes())
    name = next(key for key in header if key != "__metadata__")
    header[name] = {"dtype": "F32", "shape": [elements], "data_offsets": [0, 4 * elements]}
    return safetensors(header, data)


def promised() -> bytes:
    """A file of small tensors whose hyperparameters describe a model of 10^12 weights."""
    header, data = parts(BEST.read_bytes())
    state = json.loads(header["__metadata__"]["state"])
    state["trial"] |= {"n_embd": 2**20, "n_layer": 4096}
    text = json.dumps(state)
    digest = hashlib.sha256(text.encode())
    for name in sorted(header.keys() - {"__metadata__"}):
        begin, end = header[name]["data_offsets"]
        digest.update(f"{name} {tuple(header[name]['shape'])}".encode())
        digest.update(data[begin:end])
    header["__metadata__"] = {"state": text, "sha256": digest.hexdigest()}
    return safetensors(header, data)


HOSTILE = {
    "a header of 10^12 elements": huge(10**12),
    "a header longer than the file": (2**62).to_bytes(8, "little") + b"{}",
    "a header of 99 MB that is not there": (99_000_000).to_bytes(8, "little") + b"{}",
    "nothing": b"",
    "half of a length": b"\0\0\0",
    "no JSON": safetensors(b"{"),
    "a list": safetensors(b"[]"),
    "nested without end": safetensors(b"[" * 100_000),
    "negative offsets": tensor({"shape": [1], "data_offsets": [-8, 4]}),
    "offsets in text": tensor({"shape": ["x"], "data_offsets": "ab"}),
    "a pickle": b"\x80\x04\x95" + b"cos\nsystem\n(S'false'\ntR." * 4,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_weights_smaller_than_their_header_says_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(HOSTILE[name])
    assert weights_fault(path) is not None
    with pytest.raises(InputError):
        read_checkpoint(path)


def test_a_model_larger_than_its_weights_is_never_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "best.safetensors").write_bytes(promised())
    assert weights_fault(tmp_path / "best.safetensors") is None, "the checksum is right"
    assert main(["sample", str(tmp_path)]) == 2
    assert "fewer weights than its hyperparameters ask for" in capsys.readouterr().err


def test_the_checksum_equals_that_of_the_training_core() -> None:
    assert weights_fault(BEST) is None
    assert read_checkpoint(BEST).trial.n_embd == 4


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, BEST.stat().st_size - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_any_bytes_as_weights(tmp_path_factory: pytest.TempPathFactory, position: int, byte: int, cut: bool) -> None:
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    data = bytearray(BEST.read_bytes())
    data[position] = byte
    path.write_bytes(data[:position] if cut else data)
    fault = weights_fault(path)
    if fault is None:  # what is whole torch reads, or refuses in one line
        with contextlib.suppress(InputError):
            read_checkpoint(path)
    else:
        with pytest.raises(InputError, match=r"^[^\n]*$"):
            read_checkpoint(path)


def test_lines_are_not_read_through_a_link_or_a_pipe(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_text('{"step": 1}\n')
    link, pipe, folder = tmp_path / "link.jsonl", tmp_path / "pipe.jsonl", tmp_path / "folder.jsonl"
    link.symlink_to(secret)
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (link, pipe, folder):
        assert LineReader(path).read() == []
    with pytest.raises(OSError, match="symbolic link"):
        LineWriter(link)
    assert secret.read_text() == '{"step": 1}\n'


def test_weights_are_not_read_through_a_link_or_a_pipe(tmp_path: Path) -> None:
    link, pipe = tmp_path / "link.safetensors", tmp_path / "pipe.safetensors"
    link.symlink_to(BEST)
    os.mkfifo(pipe)
    for path in (link, pipe):
        assert weights_fault(path) is not None
        with pytest.raises(InputError, match="not a regular file"):
            read_checkpoint(path)


def test_nothing_is_written_through_a_link(folder: StudyFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(folder.path / "first", elsewhere)
    (folder.path / "first").symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link"):
        folder.check_no_links("first", [])


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_iters", 10**18), ("n_embd", -4), ("n_layer", 10**400), ("batch_size", 0), ("learning_rate", -1.0)],
)
def test_settings_out_of_range_are_ignored(key: str, value: float) -> None:
    known = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 8, "batch_size": 2, "learning_rate": 0.1}
    assert fields.trial({**known, "max_iters": 10}) is not None
    assert fields.trial({**known, "max_iters": 10, key: value}) is None


@pytest.fixture
def evil(folder: StudyFolder) -> StudyFolder:
    """Results with escapes and markup in reasons, hosts, versions and samples."""
    evil = json.dumps(f"{ESCAPE}<script>alert(1)</script>[red]")[1:-1]
    text = folder.journal.read_text(encoding="utf-8")
    text = text.replace('"reason": null', f'"reason": "{evil}"').replace('"host": "box"', f'"host": "{evil}"')
    text = text.replace('"litegpt": "0.1.0"', f'"litegpt": "{evil}"').replace("the loss is no longer finite", evil)
    folder.journal.write_text(text, encoding="utf-8")
    for path in folder.path.rglob("samples.jsonl"):
        record = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
        path.write_text(json.dumps({**record, "text": f"{ESCAPE}<script>alert(1)</script>", "step": 5}) + "\n")
    return folder


def assert_inert(text: str) -> None:
    assert "kept" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_escapes_become_symbols(evil: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder = evil
    shutil.copy(folder.snapshot, folder.root / "kept.toml")
    for number in (1, 2):  # a runner of another host, and one that was killed
        folder.lock.write_text(json.dumps({"host": f"{ESCAPE}[red]", "pid": f"{ESCAPE}"}))
        os.utime(folder.lock, None if number == 1 else (0, 0))
        assert main(["status", str(folder.root / "kept.toml"), "--results", str(folder.root)]) == 0
    assert main(["check", str(folder.path)]) == 0
    shown = capsys.readouterr()
    assert_inert(shown.out + shown.err)


@pytest.mark.slow  # pandas, scikit-learn and matplotlib take their time
def test_the_analysis_prints_no_escapes_or_markup(
    evil: StudyFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", str(evil.path)]) == 0
    assert main(["report", str(evil.path), "--out", str(tmp_path / "report")]) == 0
    shown = capsys.readouterr()
    assert_inert(shown.out + shown.err)
    (page,) = (tmp_path / "report").rglob("*.html")
    html = page.read_text(encoding="utf-8")
    assert_inert(html)
    assert "<script>alert" not in html
