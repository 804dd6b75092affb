"""The token files of long texts: written once, equal to tokens in memory, despite kills and waiting workers."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from litegpt.study.split import SplitRule
from litegpt.text.corpus import read_corpus
from litegpt.text.split import SplitText
from litegpt.train import tokens as module
from litegpt.train.tokenizer import ByteTokenizer, CharacterTokenizer, Tokenizer
from litegpt.train.tokens import CacheError, tokenised
from litegpt.train.vocabulary import learn_byte_pairs

TEXT = "the quick brown fox — jumps over the lazy dog\n" * 100
PAIRS = learn_byte_pairs(iter([TEXT]), 300)


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SplitText:
    """A text that counts as long and is read in many pieces."""
    (tmp_path / "text.txt").write_text(TEXT)
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", 100)
    monkeypatch.setattr(module, "MAPPED_FROM", 0)
    return SplitText(read_corpus("text.txt", tmp_path), SplitRule())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer(sorted(set(TEXT))), ByteTokenizer(), PAIRS])
def test_mapped_tokens_equal_those_in_memory(
    split: SplitText, cache: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = tokenised(split, tokenizer, cache)
    monkeypatch.setattr(module, "MAPPED_FROM", 1 << 30)
    held = tokenised(split, tokenizer, cache / "never")
    for one, other in zip(mapped, held, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert isinstance(mapped[0], np.memmap)
    assert not (cache / "never").exists()
    assert "".join(tokenizer.decode(mapped[1].tolist())) == split.validation_text


def test_tokens_are_written_once(split: SplitText, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tokenised(split, ByteTokenizer(), cache)

    def encode_again(*_: object) -> None:
        raise AssertionError("they are there already")

    monkeypatch.setattr(ByteTokenizer, "encode_parts", encode_again)
    again = tokenised(split, ByteTokenizer(), cache)
    assert np.array_equal(first[0], again[0])


def test_another_text_split_or_tokenizer_has_separate_tokens(split: SplitText, cache: Path, tmp_path: Path) -> None:
    tokenised(split, ByteTokenizer(), cache)
    tokenised(split, PAIRS, cache)
    tokenised(SplitText(split.corpus, SplitRule("blocks")), ByteTokenizer(), cache)
    (tmp_path / "other.txt").write_text(TEXT + "!")
    tokens = tokenised(SplitText(read_corpus("other.txt", tmp_path), SplitRule()), ByteTokenizer(), cache)
    assert tokens[1][-1] == ord("!")
    assert len([entry for entry in cache.iterdir() if entry.is_dir()]) == 4


def test_unfinished_files_of_a_killed_worker_are_replaced(split: SplitText, cache: Path) -> None:
    expected = tokenised(split, ByteTokenizer(), cache)[0].tolist()
    (folder,) = (entry for entry in cache.iterdir() if entry.is_dir())
    folder.rename(folder.with_suffix(".tmp"))
    (folder.with_suffix(".tmp") / "train.bin").write_bytes(b"half")
    assert tokenised(split, ByteTokenizer(), cache)[0].tolist() == expected
    assert [entry.suffix for entry in cache.iterdir() if entry.is_dir()] == [""]


def test_a_full_disk_leaves_no_unfinished_files(split: SplitText, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(CacheError, match="No space"):
            tokenised(split, ByteTokenizer(), cache)
    assert not [entry for entry in cache.iterdir() if entry.is_dir()]
    assert len(tokenised(split, ByteTokenizer(), cache)[0]) > 0


def empty(folder: Path) -> None:
    (folder / "train.bin").write_bytes(b"")


def cut_off(folder: Path) -> None:
    os.truncate(folder / "train.bin", 100)


def overwrite(folder: Path) -> None:
    with (folder / "validation.bin").open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(50))


def lose(folder: Path) -> None:
    (folder / "validation.bin").unlink()


def forget(folder: Path) -> None:
    (folder / "meta.json").write_text("[" * 100_000)


def replace_with_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


@pytest.mark.parametrize("damage", [empty, cut_off, overwrite, lose, forget, replace_with_file])
def test_damaged_tokens_are_written_again(split: SplitText, cache: Path, damage: Callable[[Path], None]) -> None:
    expected = [tokens.tolist() for tokens in tokenised(split, ByteTokenizer(), cache)]
    (folder,) = (entry for entry in cache.iterdir() if entry.is_dir())
    damage(folder)
    assert [tokens.tolist() for tokens in tokenised(split, ByteTokenizer(), cache)] == expected


def test_complete_tokens_are_only_read(split: SplitText, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk may be read-only, so nothing is locked and no time stamp is set."""
    expected = tokenised(split, ByteTokenizer(), cache)[0].tolist()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(module, "_locked", refuse)
    monkeypatch.setattr("os.utime", refuse)
    assert tokenised(split, ByteTokenizer(), cache)[0].tolist() == expected


def test_a_cache_that_cannot_be_used_is_named(split: SplitText, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"kept in .*/file/tokens \(Not a directory\): make room .* XDG_CACHE_HOME"):
        tokenised(split, ByteTokenizer(), tmp_path / "file" / "tokens")


def test_an_exception_from_beat_ends_the_work(split: SplitText, cache: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tokenised(split, PAIRS, cache, stop)
    assert not [entry for entry in cache.iterdir() if entry.is_dir()], "nothing is half done"


def test_only_one_of_several_workers_writes_the_tokens(split: SplitText, cache: Path) -> None:
    """The others wait and call `beat`."""
    begun, beats = threading.Event(), []

    class Slow(ByteTokenizer):
        def encode(self, text: str) -> np.ndarray:
            begun.set()
            while not beats:
                pass
            return super().encode(text)

    first = threading.Thread(target=tokenised, args=(split, Slow(), cache))
    first.start()
    begun.wait()
    tokens = tokenised(split, Slow(), cache, lambda: beats.append(1))
    first.join()
    assert "".join(ByteTokenizer().decode(tokens[1].tolist())) == split.validation_text


def test_tokens_that_were_not_used_for_long_are_deleted(split: SplitText, cache: Path) -> None:
    tokenised(split, ByteTokenizer(), cache)
    (old,) = (entry for entry in cache.iterdir() if entry.is_dir())
    os.utime(old, (0, 0))
    tokenised(split, PAIRS, cache)
    assert not old.exists()
