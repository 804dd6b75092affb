"""`litegpt init`: what it writes, refuses and says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from litegpt.cli.main import main
from litegpt.study.study import read_study
from litegpt.text.corpus import read_corpus

TEXT = "The lamp went out, and nobody in the harbour lit another one that night.\n" * 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one text in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def test_a_study_of_the_only_text_in_the_folder(folder: Path, capsys) -> None:
    assert main(["init", "--device", "cpu"]) == 0
    study = read_study(folder / "study.toml")
    assert (study.name, study.corpus) == ("book", "book.txt")
    captured = capsys.readouterr()
    assert captured.out == "study.toml\n"
    assert "text: book.txt, 1,460 characters" in captured.err
    assert "time: about" in captured.err
    assert captured.err.endswith("Next: litegpt-run study.toml\n")


def test_an_existing_file_is_never_overwritten(folder: Path, capsys) -> None:
    (folder / "study.toml").write_text("mine", encoding="utf-8")
    (folder / "link.toml").symlink_to("nowhere.toml")
    for out in ("study.toml", "link.toml"):
        assert main(["init", "book.txt", "-o", out]) == 2
        assert (
            capsys.readouterr().err == f"litegpt: {out}: exists already, and nothing was written; name another file\n"
        )
    assert (folder / "study.toml").read_text(encoding="utf-8") == "mine"
    assert not (folder / "nowhere.toml").exists()


def test_the_text_is_named_relative_to_the_study_file(folder: Path) -> None:
    (folder / "studies").mkdir()
    assert main(["init", "book.txt", "-o", "studies/one.toml", "--name", "first", "--device", "cpu"]) == 0
    study = read_study(folder / "studies" / "one.toml")
    assert (study.name, study.corpus) == ("first", "../book.txt")
    assert read_corpus(study.corpus, study.corpus_base).text == TEXT


def test_a_study_file_behind_a_link_finds_its_text(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "link").symlink_to("deep/er")
    assert main(["init", "book.txt", "-o", "link/one.toml", "--device", "cpu"]) == 0
    for path in (folder / "link" / "one.toml", folder / "deep" / "er" / "one.toml"):
        study = read_study(path)
        assert read_corpus(study.corpus, study.corpus_base).text == TEXT


def test_names_that_need_care(folder: Path, capsys) -> None:
    name = 'my "old"\nbook [1] \x1b[31m.txt'
    (folder / name).write_text(TEXT, encoding="utf-8")
    assert main(["init", name, "--device", "cpu"]) == 0
    study = read_study(folder / "study.toml")
    assert (study.name, study.corpus) == ("my-old-book-1-31m", name)
    assert "\x1b" not in capsys.readouterr().err
    assert "\x1b" not in (folder / "study.toml").read_text(encoding="utf-8")


def test_a_name_that_results_have_already_is_not_used_again(folder: Path) -> None:
    (folder / "results" / "book").mkdir(parents=True)
    assert main(["init", "--device", "cpu"]) == 0
    assert read_study(folder / "study.toml").name == "book-2"


def test_a_text_named_like_a_file_of_the_results(folder: Path) -> None:
    (folder / "requests.txt").write_text(TEXT, encoding="utf-8")
    assert main(["init", "requests.txt", "--device", "cpu"]) == 0
    assert read_study(folder / "study.toml").name == "requests-2"


def test_cleaning_is_suggested_where_it_helps(folder: Path, capsys) -> None:
    (folder / "curly.txt").write_text(TEXT.replace("The lamp", "\u201cThe lamp\u201d"), encoding="utf-8")
    assert main(["init", "curly.txt", "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    written = (folder / "study.toml").read_text(encoding="utf-8")
    for text in (said, written):
        assert "quotes" in text
        assert "litegpt clean curly.txt --diff" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "missing.txt: no such corpus"),
        (["book.txt", "-o", "nowhere/one.toml"], "nowhere: no such folder"),
        (["book.txt", "--name", "a b"], "name 'a b' must be letters, digits"),
        (["book.txt", "--minutes", "0"], "--minutes 0: give a number above 0"),
        (["book.txt", "--minutes", "nan"], "--minutes nan: give a number above 0"),
        (["book.txt", "--device", "tpu"], "--device tpu: use auto, cpu"),
        (["short.txt"], "short.txt: the text is too short"),
        (["latin.txt"], "latin.txt: the text is not UTF-8"),
        ([], "name the text to train on, for example book.txt; this folder has 3 of them"),
    ],
)
def test_errors_are_one_line_and_write_nothing(folder: Path, capsys, arguments: list[str], message: str) -> None:
    (folder / "short.txt").write_text("short", encoding="utf-8")
    (folder / "latin.txt").write_bytes(TEXT.replace("a", "\xe4").encode("latin-1"))
    before = sorted(os.listdir(folder))
    assert main(["init", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert sorted(os.listdir(folder)) == before
