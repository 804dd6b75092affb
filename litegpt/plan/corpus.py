"""The text a study trains on, as text: found, decoded and identified. Tokens are the training core's affair."""

from __future__ import annotations

import glob
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from litegpt.plan.errors import InputError


@dataclass(frozen=True)
class CorpusText:
    """A corpus, read: `path` is what the study file names, `base` the folder it is relative to."""

    path: str
    base: Path
    text: str

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The characters that occur, in code point order: the vocabulary of a character tokenizer."""
        return tuple(sorted(set(self.text)))

    @cached_property
    def sha256(self) -> str:
        """The digest that tells whether results belong to this text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def cut(self, validation_fraction: float) -> int:
        """Return how many characters come before the validation split, the text's last part."""
        return int(len(self.text) * (1 - validation_fraction))

    def check_length(self, block_size: int, validation_fraction: float) -> None:
        """Raise InputError unless both splits hold at least one block and the character after it."""
        shorter = min(self.cut(validation_fraction), len(self.text) - self.cut(validation_fraction))
        if shorter <= block_size:
            raise InputError(
                f"the corpus is too short: its smaller split has {shorter:,} characters, and a block of "
                f"{block_size:,} needs {block_size + 1:,}; use a longer text or a smaller block_size",
                self.path,
            )


def read_corpus(path: str, base: Path) -> CorpusText:
    """Read a corpus: a file, every `.txt` file below a folder, or a glob; several files join in name order.

    Raises InputError where nothing is found or a file is not UTF-8 (naming the byte).
    """
    return CorpusText(path, base, "\n".join(_read_file(file) for file in _files(path, base)))


def _files(path: str, base: Path) -> list[Path]:
    named = base / path
    if named.is_file():
        return [named]
    if named.is_dir():
        files = sorted(file for file in named.rglob("*.txt") if file.is_file())
        if not files:
            raise InputError("the corpus folder holds no .txt file; name a file, or a glob such as 'texts/*.md'", named)
        return files
    files = sorted(Path(found) for found in glob.glob(str(named), recursive=True) if Path(found).is_file())
    if not files:
        raise InputError("no such corpus; the path in [study] is relative to the study file", named)
    return files


def _read_file(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"the corpus cannot be read: {error.strerror}", file) from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the corpus is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start:,}; "
            "convert it first, for example with iconv -f latin1 -t utf-8",
            file,
        ) from None
    return text.replace("\r\n", "\n")
