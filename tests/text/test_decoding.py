"""Encodings: Unicode is recognised, legacy encodings are guessed or refused, and never read wrongly."""

# ruff: noqa: RUF001

from __future__ import annotations

import codecs
import random
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.files import opened
from litegpt.text.cleaning.lines import read_lines
from litegpt.text.corpus import read_corpus
from litegpt.text.decoding import named_encoding, recognise_unicode
from litegpt.text.letters import guess_encoding
from litegpt.text.source import open_source

FRENCH = (
    "Le gardien du phare avait une chatte très âgée, qui dormait près de la fenêtre. Il était là depuis l'été, et "
    "personne ne savait d'où il venait. « Voilà, dit-elle, ça suffit ! » Le garçon naïf mangea une pâtisserie. "
)
POLISH = (
    "Latarnik miał bardzo starą kotkę, która spała przy oknie. Nikt nie wiedział, skąd przyszedł. Dość już tego, źle "
    "się czuję. Żółta łódź płynęła po jeziorze, a dzieci śmiały się głośno. "
)
TURKISH = (
    "Fener bekçisinin çok yaşlı bir kedisi vardı, pencerenin önünde uyurdu. Kimse onun nereden geldiğini bilmiyordu. "
    "İstanbul'da yağmur yağıyordu ve sokaklar ıssızdı. "
)
RUSSIAN = (
    "Смотритель маяка держал очень старую кошку, которая спала у окна. Никто не знал, откуда он пришёл. Довольно, "
    "сказала она, я очень устала. В городе шёл дождь, и улицы были пусты. "
)
SIMPLIFIED = (
    "灯塔的看守人养了一只很老的猫，它总是睡在窗边。没有人知道他是从哪里来的。"
    "“够了，”她说，“我很累了。”城里下着雨，街上空无一人。"
)
TRADITIONAL = (
    "燈塔的看守人養了一隻很老的貓，牠總是睡在窗邊。沒有人知道他是從哪裡來的。"
    "「夠了，」她說，「我很累了。」城裡下著雨，街上空無一人。"
)
JAPANESE = (
    "灯台守はとても年を取った猫を飼っていて、猫はいつも窓のそばで眠っていた。"
    "彼がどこから来たのか、誰も知らなかった。「もういい」と彼女は言った。"
)

LEGACY = {
    "gb18030": SIMPLIFIED,
    "gbk": SIMPLIFIED,
    "big5": TRADITIONAL,
    "euc_jp": JAPANESE,
    "shift_jis": JAPANESE,
    "koi8_r": RUSSIAN,
    "cp1251": RUSSIAN,
    "cp866": RUSSIAN,
    "cp1250": POLISH,
    "cp1254": TURKISH,
    "mac_roman": FRENCH,
    "cp1252": FRENCH,
}
UNICODE = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
MARKS = dict(
    zip(
        UNICODE,
        (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
        strict=True,
    )
)


@pytest.mark.parametrize("encoding", LEGACY)
def test_a_legacy_encoding_is_guessed(tmp_path: Path, encoding: str) -> None:
    text = LEGACY[encoding]
    path = tmp_path / "text.txt"
    path.write_bytes((text + "\n").encode(encoding))
    assert list(open_source(path).lines()) == [text]


@pytest.mark.parametrize("encoding", LEGACY)
def test_a_short_text_is_never_read_wrongly(encoding: str) -> None:
    text, dice = LEGACY[encoding] * 3, random.Random(0)
    for length in (20, 40, 80):
        for _ in range(25):
            start = dice.randrange(len(LEGACY[encoding]))
            part = text[start : start + length]
            guess = guess_encoding(part.encode(encoding))
            assert guess is None or part.encode(encoding).decode(guess) == part


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("كان حارس المنارة يملك قطة عجوزا جدا تنام بجانب النافذة. لم يعرف أحد من أين أتى.", "cp1256"),
        ("לשומר המגדלור היה חתול זקן מאוד שישן ליד החלון. איש לא ידע מאין בא והלך.", "cp1255"),
        ("Bākas sargam bija ļoti vecs kaķis, kas gulēja pie loga. Šodien līst, un ielas ir tukšas.", "cp1257"),
        ("Vitavörðurinn átti mjög gamlan kött sem svaf við gluggann. Það er þreytandi að bíða.", "cp1252"),
    ],
    ids=["Arabic", "Hebrew", "Latvian", "Icelandic"],
)
def test_an_unknown_language_is_refused_until_its_encoding_is_named(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match="cannot be guessed; name it with --encoding"):
        open_source(path)
    assert list(open_source(path, encoding).lines()) == [text]


def test_the_error_of_a_corpus_names_the_command_that_converts_it(tmp_path: Path) -> None:
    path = tmp_path / "Война и мир.txt"
    path.write_bytes(RUSSIAN.encode("cp1251"))
    with pytest.raises(InputError, match=r"not UTF-8: byte 0xd1 at offset 0; it is probably cp1251; ") as raised:
        _ = read_corpus(path.name, tmp_path).sha256
    assert str(raised.value).endswith(f"litegpt clean '{path}' -o 'Война и мир.utf8.txt' --encoding cp1251")
    assert read_corpus(path.name, tmp_path, "cp1251").text == RUSSIAN


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("encoding", UNICODE)
@pytest.mark.parametrize("text", ["Grüße\n\U0001f642 wide\r\ncafé\rend", RUSSIAN, f"{SIMPLIFIED}\n{SIMPLIFIED}\n"])
def test_unicode_is_recognised(tmp_path: Path, monkeypatch, text: str, encoding: str, marked: bool) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(MARKS[encoding] * marked + text.encode(encoding))
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    for piece_bytes in (3, 8, 1 << 20):
        monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", piece_bytes)
        corpus = read_corpus("text.txt", tmp_path)
        assert corpus.text == expected
        assert [corpus.text[i:] for i in range(0, len(expected), 7)] == [
            "".join(corpus.pieces(i)) for i in range(0, len(expected), 7)
        ]
    assert list(open_source(path).lines()) == expected.removesuffix("\n").split("\n")


def test_a_legacy_corpus_is_read_from_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litegpt.text.decoding.PIECE_BYTES", 5)
    for encoding in ("gb18030", "shift_jis", "iso2022_jp"):
        text = (SIMPLIFIED if encoding == "gb18030" else JAPANESE) * 3
        (tmp_path / "text.txt").write_bytes(text.encode(encoding))
        corpus = read_corpus("text.txt", tmp_path, encoding)
        assert "".join(corpus.read([(1, 3), (150, 160)])) == text[1:3] + text[150:160]


@pytest.mark.parametrize(
    "data",
    [b"a\0b", b"hello\0world, this is a text\n" * 20, b"\x7fELF\0\1\2\0\0\xff\xfe\0\x10" * 50, b"text\n" * 9 + b"\0"],
)
def test_nul_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"not a text: it contains NUL bytes|not UTF-8"):
        _ = read_corpus("text.txt", tmp_path).sha256
    with pytest.raises(InputError, match=r"not a text: it contains NUL bytes|cannot be guessed"):
        open_source(path)


def test_a_wrong_name_of_an_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(RUSSIAN.encode("cp1251"))
    with pytest.raises(InputError, match="invalid in shift_jis; --encoding must name another encoding"):
        open_source(path, "shift_jis")
    with pytest.raises(InputError, match="unknown encoding 'cp9'; examples: cp1252, "):
        open_source(path, "cp9")
    for name in ("hex", "rot13", "undefined"):
        with pytest.raises(InputError, match="unknown encoding"):
            open_source(path, name)


@pytest.mark.parametrize("name", ["utf-16", "UTF16", "utf_16_le", "utf-8-sig", "utf8"])
def test_a_named_unicode_encoding_keeps_its_mark_out_of_the_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffcafé".encode("utf-8" if "8" in name else "utf-16-le"))
    with opened(path) as file:
        encoding = named_encoding(name, file)
        assert "".join(text for _, text in encoding.pieces(file, path)) == "café"


def test_a_cut_off_text_in_utf16_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(codecs.BOM_UTF16_LE + (FRENCH * 3).encode("utf-16-le")[:-1])
    source = open_source(path)
    assert source.encoding is not None
    assert source.encoding.invalid == 1
    assert list(source.lines()) == [(FRENCH * 3)[:-1] + "\ufffd"]
    with pytest.raises(InputError, match=r"not utf-16-le: byte 0x20 at .*; repair it with: litegpt clean "):
        _ = read_corpus("text.txt", tmp_path).sha256


def test_plain_utf8_keeps_its_digest(tmp_path: Path) -> None:
    """The digests were computed by release 0.1, so that its results still belong to their texts."""
    (tmp_path / "text.txt").write_bytes("\ufeffGrüße,\r\n世界 \U0001f642\n\n".encode() + b"end")
    assert (
        read_corpus("text.txt", tmp_path).sha256 == "dea2c8ea81bb7db38fc2eab11f9554325cc44ece78483135f0ce841c7a7cfb8c"
    )


def test_lines_are_the_same_in_pieces_of_any_size() -> None:
    text = "one\n\ntwo three\nfour"
    for size in range(1, len(text) + 1):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        assert list(read_lines(pieces)) == text.split("\n")


def test_random_bytes_are_not_a_text(tmp_path: Path) -> None:
    dice = random.Random(1)
    for _ in range(20):
        data = dice.randbytes(2000)
        (tmp_path / "text.txt").write_bytes(data)
        with opened(tmp_path / "text.txt") as file:
            assert recognise_unicode(file).name == "utf-8"
        assert guess_encoding(data) is None
