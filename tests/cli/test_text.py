"""`litegpt clean` and `litegpt corpus`: their output and their errors."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from litegpt.cli.main import main
from tests.builders import study_text

ROOT = Path(__file__).parents[2]
NOVELLA = ROOT / "data" / "novella.txt"
LINES = (
    "The reader of this book had gone out to buy a pound of tea, a\n"
    "quarter of butter, and anything else that was to be had at that hour\n"
    "of the day. \u201cIt was a well-known shop,\u201d he said, and he went in,\n"
    "and then he came out of it again without his umbrella.\n"
)
CLEAN = LINES.replace("\n", " ").strip().replace("\u201c", '"').replace("\u201d", '"') + "\n"


@pytest.fixture
def wrapped(tmp_path: Path) -> Path:
    path = tmp_path / "wrapped.txt"
    path.write_text(LINES, encoding="utf-8")
    return path


def test_the_text_goes_to_stdout_and_the_summary_to_stderr(wrapped: Path, capsys) -> None:
    assert main(["clean", str(wrapped)]) == 0
    captured = capsys.readouterr()
    assert captured.out == CLEAN
    assert "4 lines" in captured.err
    rows = [line.split() for line in captured.err.splitlines()]
    assert ["unwrap", "3"] in rows
    assert any(row[:2] == ["quotes", "2"] for row in rows)


def test_the_text_goes_to_a_file_and_the_summary_to_stdout_as_json(wrapped: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "clean.txt"
    assert main(["clean", str(wrapped), "-o", str(out), "--json", "--without", "quotes"]) == 0
    assert out.read_text(encoding="utf-8") == CLEAN.replace('"It', "\u201cIt").replace('shop,"', "shop,\u201d")
    summary = json.loads(capsys.readouterr().out)
    assert summary["lines"] == [4, 1]
    assert summary["rules"]["unwrap"] == 3
    assert "quotes" not in summary["rules"]
    assert {path.name for path in tmp_path.iterdir()} == {"wrapped.txt", "clean.txt"}


def test_a_diff_names_lines_and_rules(wrapped: Path, capsys) -> None:
    assert main(["clean", str(wrapped), "--diff"]) == 0
    head, *rest = capsys.readouterr().out.splitlines()
    assert head == "@@ 1 to 4: quotes, unwrap"
    assert rest == [*("-" + line for line in LINES.splitlines()), "+" + CLEAN.strip()]


def test_a_clean_text_has_no_diff_and_is_copied_unchanged(tmp_path: Path, capsys) -> None:
    out = tmp_path / "novella.txt"
    assert main(["clean", str(NOVELLA), "-o", str(out)]) == 0
    assert out.read_bytes() == NOVELLA.read_bytes()
    assert "No rule found anything" in capsys.readouterr().err
    assert main(["clean", str(NOVELLA), "--diff"]) == 0
    assert capsys.readouterr().out == ""


def test_other_encodings_are_read(tmp_path: Path, capsys) -> None:
    latin, utf16 = tmp_path / "latin.txt", tmp_path / "utf16.txt"
    latin.write_bytes("\u201ccaf\u00e9\u201d\r\nau lait\r\n".encode("cp1252"))
    utf16.write_text("caf\u00e9\n", encoding="utf-16")
    assert main(["clean", str(latin)]) == 0
    captured = capsys.readouterr()
    assert captured.out == '"caf\u00e9"\nau lait\n'
    assert "Windows-1252" in captured.err
    assert main(["clean", str(utf16)]) == 0
    assert capsys.readouterr().out == "caf\u00e9\n"
    latin.write_bytes("\u201ccaf\u00e9\u201d ".encode() + b"caf\xe9\n")
    assert main(["clean", str(latin)]) == 0
    captured = capsys.readouterr()
    assert captured.out == '"caf\u00e9" caf\u00e9\n'
    assert "1 of its characters" in captured.err


REFUSED = {
    "the text itself as output": (["-o", "IN"], "would overwrite"),
    "a folder as output": (["-o", "."], "not of a folder"),
    "a folder that is not there": (["-o", "none/out.txt"], "no such folder"),
    "a file as a folder": (["-o", "wrapped.txt/out.txt"], "wrapped.txt: cannot be written: not a folder"),
    "a name that is too long": (["-o", "x" * 300], "cannot be written: File name too long"),
    "an unknown rule": (["--rules", "qotes"], "did you mean 'quotes'?"),
    "no rule": (["--rules", "quotes", "--without", "quotes"], "no rule is left"),
    "JSON beside the text": (["--json"], "--out"),
}


@pytest.mark.parametrize(("options", "part"), REFUSED.values(), ids=REFUSED.keys())
def test_impossible_options_are_refused(wrapped: Path, capsys, monkeypatch, options: list[str], part: str) -> None:
    monkeypatch.chdir(wrapped.parent)
    assert main(["clean", str(wrapped), *(str(wrapped) if option == "IN" else option for option in options)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert part in line
    assert wrapped.read_text(encoding="utf-8") == LINES
    assert [path.name for path in wrapped.parent.iterdir()] == ["wrapped.txt"]


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.txt", b"a\0b", "NUL bytes"),
        ("a.epub", b"PK\x03\x04 nothing", "the EPUB cannot be read"),
        ("a.pdf", b"%PDF-1.7 nothing", "PDF"),
    ],
)
def test_a_file_that_is_not_a_text_is_refused(tmp_path: Path, capsys, name: str, content: bytes, part: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["clean", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line


def test_an_epub_is_read_in_its_reading_order(tmp_path: Path, capsys) -> None:
    path = tmp_path / "book.epub"
    body = "<h1>{0}</h1><p>The <i>{0}</i>&#8217;s\n text.<br/>Line</p>"
    page = f"<html><head><title>no</title></head><body>{body}</body></html>"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/content.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OEBPS/content.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="b" href="b.xhtml"/>'
            '<item id="a" href="a%20a.xhtml"/></manifest>'
            '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
        )
        archive.writestr("OEBPS/b.xhtml", page.format("second"))
        archive.writestr("OEBPS/a a.xhtml", page.format("first"))
    assert main(["clean", str(path)]) == 0
    assert capsys.readouterr().out == "first\n\nThe first's text.\nLine\n\nsecond\n\nThe second's text.\nLine\n"


@pytest.mark.parametrize("command", ["clean", "corpus"])
def test_a_name_that_is_too_long_is_refused(capsys, command: str) -> None:
    assert main([command, "x" * 300]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "File name too long" in line


PRINTED = [["clean", "IN"], ["clean", "IN", "--diff"], ["corpus", str(NOVELLA)]]


@pytest.mark.parametrize("arguments", PRINTED)
def test_a_full_closed_or_ascii_stdout_is_handled(wrapped: Path, capsys, monkeypatch, arguments: list[str]) -> None:
    arguments = [str(wrapped) if argument == "IN" else argument for argument in arguments]
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "litegpt: cannot be written: No space left on device"
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(arguments) == 0
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    assert main([*arguments, "--without", "quotes"] if arguments[0] == "clean" else arguments) == 0
    ascii_only.seek(0)
    assert arguments[0] == "corpus" or "\\u201cIt was" in ascii_only.read()


PARROT = "the reader of this book went out to buy a pound of tea and came back with a parrot in a cage"


def write_pdf(path: Path, pages: list[list[str]]) -> None:
    """Write a PDF with one line of text under another."""
    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Courier"}
    font_object = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    for lines in pages:
        page = writer.add_blank_page(612, 792)
        fonts = DictionaryObject({NameObject("/F1"): font_object})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        shown = "".join(f"({line}) Tj T*\n" for line in lines)
        stream.set_data(f"BT /F1 10 Tf 12 TL 50 740 Td\n{shown}ET".encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)
    writer.write(path)


def test_a_pdf_is_read_page_by_page(tmp_path: Path, capsys) -> None:
    pytest.importorskip("pypdf")
    words = PARROT.split()
    body = [" ".join(words[i % 20 : i % 20 + 1] + words[:9]) for i in range(60)]
    pages = [[f"{number}   The Parrot", *body[number * 12 : number * 12 + 12]] for number in range(1, 5)]
    write_pdf(tmp_path / "book.pdf", pages)
    assert main(["clean", str(tmp_path / "book.pdf")]) == 0
    captured = capsys.readouterr()
    assert captured.out == " ".join(body[12:60]) + "\n"
    assert ["headers", "4"] in [line.split()[:2] for line in captured.err.splitlines()]
    write_pdf(tmp_path / "scan.pdf", [[]])
    assert main(["clean", str(tmp_path / "scan.pdf")]) == 2
    assert "OCR" in capsys.readouterr().err


def test_a_compressed_text_is_decompressed(tmp_path: Path, wrapped: Path, capsys) -> None:
    assert main(["clean", str(wrapped)]) == 0
    cleaned = capsys.readouterr().out
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress(wrapped.read_bytes()))
    assert main(["clean", str(packed)]) == 0
    assert capsys.readouterr().out == cleaned
    assert main(["corpus", str(packed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["characters"] == len(LINES)
    packed.write_bytes(packed.read_bytes()[:-9])
    for command in ("clean", "corpus"):
        assert main([command, str(packed)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "not a complete gzip file" in line


def test_a_corpus_is_described(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["corpus", str(NOVELLA)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[1:])) <= 80
    for part in ("117,723", "61 different", "the last 10 %", "trigram", "no rule finds anything"):
        assert part in out


def test_names_of_frequent_characters_are_printed_whole(tmp_path: Path, capsys) -> None:
    text = tmp_path / "marks.txt"
    text.write_text("a\ufeff\ufeffb\n\n\n\n" * 40, encoding="utf-8")
    assert main(["corpus", str(text)]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "line break" in line)
    assert line.split("  ")[:3] == ["", "line break 50.0 %", "U+FEFF 25.0 %"]


def test_the_corpus_and_split_of_a_study_are_described(tmp_path: Path, wrapped: Path, capsys) -> None:
    study = tmp_path / "s.toml"
    phase = '[[phase]]\nname = "one"\nmax_iters = 5\n[phase.grid]\nseed = [1]\n'
    study.write_text(study_text(phase, corpus="wrapped.txt", study="validation_fraction = 0.25"), encoding="utf-8")
    assert main(["corpus", str(study), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["characters"] == len(LINES)
    assert record["validation_characters"] == len(LINES) - int(len(LINES) * 0.75)
    assert record["cleaning"] == {"quotes": 2, "unwrap": 3}
    assert record["baselines"].keys() == {"unigram", "bigram", "trigram", "5-gram"}
    wrapped.write_text("ab", encoding="utf-8")
    assert main(["corpus", str(wrapped)]) == 2
    assert "too short" in capsys.readouterr().err
    assert main(["corpus", str(tmp_path / "none.txt")]) == 2
    assert "no such corpus" in capsys.readouterr().err


PHASE = (
    '[[phase]]\nname = "one"\nmax_iters = 5\n[phase.grid]\nseed = [1]\n'
    "[defaults]\nn_layer = 1\nn_head = 1\nn_embd = 16\nblock_size = 8\nbatch_size = 2\nlearning_rate = 1e-3\n"
)
RUSSIAN = "Она сказала, что придёт "


def test_the_encoding_of_a_text_can_be_named(tmp_path: Path, capsys) -> None:
    path = tmp_path / "russian.txt"
    path.write_bytes((RUSSIAN * 20 + "\n").encode("koi8_r"))
    out = tmp_path / "out.txt"
    assert main(["clean", str(path), "-o", str(out)]) == 0
    assert "it was read as koi8_r" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == (RUSSIAN * 20).strip() + "\n"
    assert main(["corpus", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("--encoding koi8_r")
    assert main(["corpus", str(path), "--encoding", "koi8-r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["characters"] == len(RUSSIAN) * 20 + 1
    (tmp_path / "s.toml").write_text('[study]\ncorpus = "russian.txt"\n' + PHASE, encoding="utf-8")
    assert main(["plan", str(tmp_path / "s.toml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("--encoding koi8_r")
    path.write_bytes(RUSSIAN[:12].encode("cp855"))
    out.unlink()
    assert main(["clean", str(path), "-o", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "name it with --encoding" in line
    assert not out.exists()
    assert main(["clean", str(path), "-o", str(out), "--encoding", "cp855"]) == 0
    assert out.read_text(encoding="utf-8") == RUSSIAN[:12].strip() + "\n"


def test_carriage_returns_are_line_breaks(tmp_path: Path, capsys) -> None:
    path = tmp_path / "mac.txt"
    path.write_bytes(NOVELLA.read_bytes().replace(b"\n", b"\r"))
    assert main(["corpus", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert main(["corpus", str(NOVELLA), "--json"]) == 0
    assert {**json.loads(capsys.readouterr().out), "corpus": str(path)} == record
    assert main(["clean", str(path)]) == 0
    assert capsys.readouterr().out == NOVELLA.read_text(encoding="utf-8")


def test_an_end_that_differs_from_the_text_is_reported(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    words = sorted(set(NOVELLA.read_text(encoding="utf-8").lower().split()))
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    study = tmp_path / "s.toml"
    content = '[study]\ncorpus = "words.txt"\n' + PHASE
    study.write_text(content, encoding="utf-8")
    for command in ("corpus", "plan"):
        assert main([command, str(study)]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "the last 10 % differ from the rest of the text: a trigram predicts them with " in out
    study.write_text(content.replace("[[phase]]", 'split = "blocks"\n[[phase]]', 1), encoding="utf-8")
    for command in ("corpus", "plan"):
        assert main([command, str(study)]) == 0
        assert "differ from the rest" not in capsys.readouterr().out
