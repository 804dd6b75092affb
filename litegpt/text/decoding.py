"""Bytes as text, for everything that reads one: its encoding, its byte order mark and its line breaks.

`litegpt corpus`, `plan`, `clean` and training read texts through this module, so that they agree on every character.
Unicode is recognised with certainty: by a byte order mark, by the zeros of UTF-16 and UTF-32, or because all bytes are
valid UTF-8. Other encodings are guessed from letters. Only `litegpt clean` relies on a guess, because its output can be
checked; for training, the guess is part of the error message.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from litegpt.errors import InputError
from litegpt.text.letters import guess_encoding

PIECE_BYTES = 1 << 20
"""The bytes read at a time; a piece of text has at most as many characters."""
HEAD_BYTES = 1 << 16
"""The bytes at the beginning of a file from which UTF-16 and UTF-32 are recognised."""
GUESS_BYTES = 1 << 16
"""The bytes from which other encodings are guessed."""
ZERO_SHARE = 0.4
"""The least share of zero bytes in an English text in UTF-16."""
INVALID_SHARE = 0.01
"""The share of invalid characters, among those that are not ASCII, above which an encoding is wrong."""
EXAMPLES = ("cp1252", "cp1251", "koi8_r", "gb18030", "big5", "shift_jis")
STRAYS = "litegpt.strays"
"""The name of an error handler that reads bytes that are not UTF-8 as Windows-1252."""

# The mark of UTF-32-LE begins with that of UTF-16-LE, so it comes first.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

_NOT_ASCII = re.compile(b"[\x80-\xff]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a]")
_SPACE = re.compile(r"[\t\n\r ]")
_SHIFTING = ("iso2022", "hz", "utf-7")


@dataclass(frozen=True)
class Encoding:
    """How the bytes of a file become text."""

    name: str  # a Python codec
    mark: int = 0  # bytes of the byte order mark
    errors: str = "strict"  # a handler for invalid bytes
    invalid: int = 0  # characters that the handler replaces

    @property
    def is_seekable(self) -> bool:
        """Whether pieces can be decoded without those before them. Encodings with shift sequences need them."""
        return not self.name.startswith(_SHIFTING)

    @property
    def _is_wide(self) -> bool:
        return self.name.startswith(("utf-16", "utf-32"))

    def pieces(self, file: BinaryIO, path: Path, offset: int | None = None) -> Iterator[tuple[int, str]]:
        """Yield the text of a file in pieces: the offset of each piece in bytes, and its text.

        Reading begins after the byte order mark, or at `offset`, the offset of a piece. CRLF and CR become LF.
        InputError: a byte does not fit the encoding, or the text contains NUL.
        """
        position = self.mark if offset is None else offset
        file.seek(position)
        decoder = codecs.getincrementaldecoder(self.name)(self.errors)
        width = len("\r".encode(self.name))
        held = ""  # a carriage return at the end of a piece, until the next character is known
        data = b"\n"
        while data:
            data = file.read(PIECE_BYTES)
            undecoded = position - len(decoder.getstate()[0])
            begin = undecoded - width * len(held)
            try:
                text = held + decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise self._undecodable(file, path, undecoded + error.start, error.object[error.start]) from None
            position += len(data)
            held = "\r" if data and text.endswith("\r") else ""
            text = text.removesuffix(held)
            if "\0" in text:
                raise InputError("not a text: it contains NUL bytes", path)
            if text:
                yield begin, text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text

    def checked(self, file: BinaryIO, path: Path) -> Encoding:
        """Decode a whole file to count invalid characters. InputError: there are too many of them."""
        encoded = invalid = 0
        for _, text in Encoding(self.name, self.mark, "replace").pieces(file, path):
            # ASCII is the same in most encodings, so it is no evidence for one of them.
            encoded += len(text) if self._is_wide else len(text) - len(text.encode("ascii", "ignore"))
            invalid += text.count("\ufffd")
        if invalid > INVALID_SHARE * encoded:
            kind = "characters" if self._is_wide else "characters that are not ASCII"
            problem = f"{invalid:,} of {encoded:,} {kind} are invalid in {self.name}"
            raise InputError(f"{problem}; --encoding must name another encoding", path)
        return Encoding(self.name, self.mark, "replace" if invalid else "strict", invalid)

    def _undecodable(self, file: BinaryIO, path: Path, offset: int, byte: int) -> InputError:
        where = f"byte 0x{byte:02x} at offset {offset:,}"
        if self._is_wide:
            return InputError(f"the text is not {self.name}: {where}; repair it with: {_clean_command(path)}", path)
        if self.name != "utf-8":
            return InputError(f"the text is not {self.name}: {where}", path)
        return InputError(f"the text is not UTF-8: {where}; {_conversion(file, path)}", path)


def recognise_unicode(file: BinaryIO) -> Encoding:
    """Recognise UTF-16 and UTF-32 at the beginning of a file. All other texts should be UTF-8."""
    head = file.read(HEAD_BYTES)
    for mark, name in MARKS.items():
        if head.startswith(mark):
            return Encoding(name, len(mark))
    return Encoding(_encoding_by_zeros(head) or "utf-8")


def named_encoding(name: str, file: BinaryIO) -> Encoding:
    """Return the encoding that a user names. InputError: an unknown name."""
    try:
        name = codecs.lookup(name).name
        "\r".encode(name)
    except (LookupError, UnicodeError):
        raise InputError(f"unknown encoding '{name}'; examples: {', '.join(EXAMPLES)}") from None
    family = name.removesuffix("-sig")
    unicode = recognise_unicode(file)
    # "utf-16" and "utf-32" leave the order of bytes to the file. A mark is not part of the text.
    if unicode.name.startswith(family) and (unicode.mark or family in ("utf-16", "utf-32")):
        return unicode
    return Encoding(f"{family}-le" if family in ("utf-16", "utf-32") else family)


def detect(file: BinaryIO, path: Path) -> Encoding:
    """Detect the encoding of a file by reading all of it; a legacy encoding is guessed.

    A text that is UTF-8 except for a few bytes is UTF-8; these bytes are read as Windows-1252.
    InputError: not a text, or the encoding cannot be guessed.
    """
    encoding = recognise_unicode(file)
    if encoding.name != "utf-8":
        return encoding.checked(file, path)
    strays = _stray_bytes(file, path, encoding)
    if strays is not None:
        return Encoding("utf-8", encoding.mark, STRAYS if strays else "strict", strays)
    if guess := _guess(file):
        return Encoding(guess).checked(file, path)
    raise InputError(
        f"the text is not UTF-8, and its encoding cannot be guessed; name it with --encoding, for example "
        f"{' or '.join(EXAMPLES)}",
        path,
    )


def _stray_bytes(file: BinaryIO, path: Path, encoding: Encoding) -> int | None:
    """Count the characters that are not UTF-8; None if they are most of those that are not ASCII."""
    foreign = strays = 0
    for _, text in Encoding("utf-8", encoding.mark, "surrogateescape").pieces(file, path):
        if not text.isascii():
            foreign += len(text) - len(text.encode("ascii", "ignore"))
            strays += len(text) - len(text.encode("utf-8", "ignore").decode())
    return strays if strays < foreign - strays or not strays else None


def _guess(file: BinaryIO) -> str | None:
    """Guess the encoding of a text from the lines that begin with its first byte that is not ASCII."""
    file.seek(0)
    sample = b""
    while block := file.read(GUESS_BYTES):
        sample += block
        if first := _NOT_ASCII.search(sample):
            sample += file.read(GUESS_BYTES)
            start = sample.rfind(b"\n", 0, first.start()) + 1
            return guess_encoding(sample[start : start + GUESS_BYTES])
        sample = sample[sample.rfind(b"\n") + 1 :][-GUESS_BYTES:]
    return None


def _conversion(file: BinaryIO, path: Path) -> str:
    """Return advice on a text that is not UTF-8, with the command that converts it."""
    command = _clean_command(path)
    if _stray_bytes(file, path, Encoding("utf-8")) is not None:
        return f"only some bytes are not; repair them with: {command}"
    if guess := _guess(file):
        return f"it is probably {guess}; convert it with: {command} --encoding {guess}"
    return f"convert it with: {command} --encoding NAME, where NAME is for example {' or '.join(EXAMPLES)}"


def _clean_command(path: Path) -> str:
    stem = path.name.removesuffix(".gz").removesuffix(".txt")
    return f"litegpt clean {shlex.quote(str(path))} -o {shlex.quote(f'{stem}.utf8.txt')}"


def _encoding_by_zeros(head: bytes) -> str | None:
    """Recognise UTF-16 and UTF-32 without a mark by their zero bytes; None for other texts.

    Each ASCII character has one zero byte in UTF-16 and three in UTF-32. In the wrong order of bytes, spaces and line
    breaks become other characters.
    """
    if b"\0" not in head:
        return None
    # A text that would be ASCII without its zeros is damaged ASCII, unless nearly every second byte is a zero.
    rest = head.replace(b"\0", b"").decode("latin-1")
    if rest.isascii() and not _CONTROL.search(rest) and head.count(0) < ZERO_SHARE * len(head):
        return None
    for names in (("utf-32-le", "utf-32-be"), ("utf-16-le", "utf-16-be")):
        texts = {name: text for name in names if (text := _decoded_text(head, name))}
        if texts:
            return max(texts, key=lambda name: len(_SPACE.findall(texts[name])))
    return None


def _decoded_text(data: bytes, encoding: str) -> str | None:
    """Decode all but an incomplete character at the end; None if this is not a text."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, final=len(data) < HEAD_BYTES)
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _read_strays(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(STRAYS, _read_strays)
