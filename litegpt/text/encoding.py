"""Detecting the encoding of a text from its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
STRAYS = "litegpt.strays"
"""The name of an error handler that reads bytes that are not UTF-8 as Windows-1252."""


def named_by_bom(head: bytes) -> str | None:
    """Return the encoding that a byte order mark names; None without a mark."""
    return next((name for bom, name in BOMS.items() if head.startswith(bom)), None)


def guess_encoding(blocks: Iterable[bytes]) -> tuple[str, int]:
    """Guess the encoding of a text without a mark; return it and the number of characters that do not fit it.

    It is UTF-8 if most characters that are not ASCII are valid UTF-8. Otherwise it is Windows-1252, in which every
    sequence of bytes is valid.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    foreign = strays = 0
    for block in blocks:
        text = decoder.decode(block)
        if not text.isascii():
            foreign += len(text) - len(text.encode("ascii", "ignore"))
            strays += max(0, text.count("\ufffd") - block.count(b"\xef\xbf\xbd"))
    return ("utf-8", strays) if strays < foreign - strays or not strays else ("cp1252", 0)


def _read_strays(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(STRAYS, _read_strays)
