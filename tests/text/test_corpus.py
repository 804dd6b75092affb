"""Reading a corpus piece by piece gives the same results as reading it whole."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.text.corpus import Corpus, read_corpus

FILES = {
    "a.txt": "one\r\ntwo\rthree\r\n\r\n",
    "b.txt": "",
    "c.txt": "zw\u00f6lf \u2192 \U0001f642\u00df\u6f22\u5b57",
    "d.txt": "\r",
    "e.txt": "\n plain ascii, the last\r",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts with all lengths of UTF-8 characters, LF, CRLF and single carriage returns; some are compressed."""
    for name, text in FILES.items():
        data = text.encode()
        if name in "c.txt e.txt":
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (tmp_path / name).write_bytes(data)
    (tmp_path / "notes.md").write_text("not read from a folder")
    return tmp_path


def whole() -> str:
    return "\n".join(text.replace("\r\n", "\n").replace("\r", "\n") for text in FILES.values())


@pytest.fixture(params=[1, 3, 7, 1 << 20])
def corpus(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", request.param)
    return read_corpus(".", folder)


def test_a_folder_joins_the_texts_of_its_files(corpus: Corpus) -> None:
    text = whole()
    assert corpus.text == text
    assert corpus.characters == len(text)
    assert corpus.symbols == tuple(sorted(set(text)))
    assert corpus.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_range_equals_a_slice_of_the_text(corpus: Corpus) -> None:
    text = whole()
    for start in range(0, len(text) + 1, 3):
        for end in range(start, len(text) + 1):
            assert "".join(corpus.pieces(start, end)) == text[start:end]


def test_several_ranges_are_read_together(corpus: Corpus) -> None:
    text, dice = whole(), random.Random(0)
    for _ in range(50):
        edges = sorted(dice.sample(range(len(text) + 1), 8))
        ranges = list(zip(edges[::2], edges[1::2], strict=True))
        assert "".join(corpus.read(ranges)) == "".join(text[start:end] for start, end in ranges)


@pytest.mark.parametrize("compressed", [False, True])
def test_distant_ranges_are_read(tmp_path: Path, monkeypatch, compressed: bool) -> None:
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", 16)
    text = "".join(random.Random(1).choices("ab\u00fc\U0001f642\n", k=3000))
    data = text.encode()
    (tmp_path / "t.gz").write_bytes(gzip.compress(data) if compressed else b"")
    (tmp_path / "t").write_bytes(data)
    corpus = read_corpus("t.gz" if compressed else "t", tmp_path)
    ranges = [(start, start + 5) for start in range(7, 2900, 211)]
    assert "".join(corpus.read(ranges)) == "".join(text[start:end] for start, end in ranges)


def test_a_corpus_may_be_a_file_or_a_glob(folder: Path) -> None:
    assert read_corpus("c.txt.gz", folder).text == FILES["c.txt"]
    assert [file.name for file in read_corpus("*.md", folder).files] == ["notes.md"]
    assert len(read_corpus("**/*.txt*", folder).files) == len(FILES)


@pytest.mark.parametrize("piece", [2, 1 << 20])
@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"abc\xff", "byte 0xff at offset 3"),
        (b"ab\r\n\xc3\xa4\xe2\x82", "byte 0xe2 at offset 6"),
        (b"\xe4", "byte 0xe4 at offset 0"),
    ],
)
def test_an_error_names_the_byte_that_is_not_utf8(
    tmp_path: Path, monkeypatch, piece: int, data: bytes, where: str
) -> None:
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", piece)
    for name, content in (("plain.txt", data), ("small.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"^{tmp_path / name}: the text is not UTF-8: {where}; .* litegpt clean "):
            _ = read_corpus(name, tmp_path).sha256


@pytest.mark.parametrize("damage", ["cut", "flipped", "no gzip"])
def test_a_damaged_gzip_file_is_reported_in_one_line(tmp_path: Path, damage: str) -> None:
    data = bytearray(gzip.compress(random.Random(2).randbytes(3000).hex().encode()))
    if damage == "cut":
        del data[-500:]
    elif damage == "flipped":
        data[1500] ^= 255
    else:
        data = bytearray(b"this is text")
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.gz: not a complete gzip file: ") as caught:
        _ = read_corpus("x.gz", tmp_path).characters
    assert "\n" not in str(caught.value)


def test_a_changed_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("as it was")
    corpus = read_corpus("t.txt", tmp_path)
    assert corpus.characters == 9
    path.write_text("as it is today")
    with pytest.raises(InputError, match="the corpus has changed since it was first read"):
        _ = corpus.text


def test_a_touched_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", 4)
    path = tmp_path / "t.txt.gz"
    path.write_bytes(gzip.compress(b"as it was", mtime=1))
    corpus = read_corpus("t.txt.gz", tmp_path)
    assert corpus.text == "as it was"
    os.utime(path, (1, 1))
    assert corpus.text == "as it was"
    path.write_bytes(gzip.compress(b"as it was", compresslevel=0))
    assert "".join(corpus.pieces(6)) == "was"
    path.unlink()
    with pytest.raises(InputError, match=r"t\.txt\.gz: cannot be read: No such file"):
        _ = corpus.text


@pytest.mark.parametrize("piece", [1, 3, 5, 1 << 20])
def test_a_byte_order_mark_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """Only at the beginning of a file: elsewhere, U+FEFF is a character of the text."""
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", piece)
    (tmp_path / "a.txt").write_bytes("\ufeffone\ufeff".encode())
    (tmp_path / "b.txt").write_bytes("\ufeff\r\ntwo".encode())
    corpus, text = read_corpus(".", tmp_path), "one\ufeff\n\ntwo"
    assert (corpus.text, corpus.characters) == (text, len(text))
    assert corpus.sha256 == hashlib.sha256(text.encode()).hexdigest()
    for start in range(len(text)):
        assert "".join(corpus.pieces(start)) == text[start:]


@pytest.mark.parametrize("name", ["[a]", "a*b"])
def test_the_base_folder_is_not_a_glob(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "t.md").write_text("text")
    assert read_corpus("*.md", folder).text == "text"


def test_a_name_that_is_too_long_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the corpus cannot be read: File name too long"):
        read_corpus("x" * 300, tmp_path)


def test_a_missing_corpus_is_reported(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"contains no \.txt file"):
        read_corpus("empty", tmp_path)
    with pytest.raises(InputError, match="no such corpus"):
        read_corpus("*.txt", tmp_path)


@pytest.mark.slow
def test_a_large_text_needs_little_memory(tmp_path: Path) -> None:
    line = "The quick brown fox, zw\u00f6lf boxing wizards \u2014 and a judge.\r\n".encode()
    with (tmp_path / "large.txt").open("wb") as file:
        for _ in range(200):
            file.write(line * (1_000_000 // len(line)))
    tracemalloc.start()
    try:
        corpus = read_corpus("large.txt", tmp_path)
        counted = sum(map(len, corpus.pieces(corpus.characters // 2)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counted == corpus.characters - corpus.characters // 2
    assert peak < 32_000_000
