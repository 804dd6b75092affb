"""User errors: one clear line on stderr, exit code 2, and nothing written."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from litegpt.results.journal import Journal
from tests.builders import study_started, study_text

STUDY = study_text("""\
[[phase]]
name = "one"
max_iters = 20
[phase.grid]
seed = [1, 2]

[[phase]]
name = "two"
max_iters = 20
[phase.promote]
from = "one"
top = 1
""")
TEXT = "the cat sat on the mat and the dog ran over the hill " * 20

BAD = {
    "a TOML syntax error": (('"text.txt"', "text.txt"), ["small.toml:3: ", "TOML"]),
    "an unknown key": (("n_layer = 1", "n_layers = 1"), ["small.toml:6: ", "'n_layers'", "did you mean 'n_layer'?"]),
    "an unknown table": (("[[phase]]", "[[phases]]"), ["small.toml:", "'phases'", "did you mean 'phase'?"]),
    "a wrong type": (("n_embd = 16", "n_embd = [16]"), ["small.toml:8: ", "n_embd", "number"]),
    "a number that is not whole": (("n_embd = 16", "n_embd = 16.5"), ["small.toml:8: ", "n_embd", "whole"]),
    "an empty grid": (("seed = [1, 2]", ""), ["small.toml:", "grid", "'one'", "empty"]),
    "an axis without values": (("seed = [1, 2]", "seed = []"), ["small.toml:17: ", "seed", "no values"]),
    "heads that do not divide the width": (("n_head = 2", "n_head = 3"), ["small.toml:", "n_embd 16", "n_head 3"]),
    "a promotion from an unknown phase": (('from = "one"', 'from = "on"'), ["small.toml:23: ", "'on'", "'one'"]),
    "a promotion from a later phase": (('from = "one"', 'from = "two"'), ["small.toml:23: ", "'two'"]),
    "two phases with the same name": (('name = "two"', 'name = "one"'), ["small.toml:20: ", "'one'"]),
    "an expression that is not arithmetic": (
        ("n_head = 2", "n_head = \"__import__('os').system('touch owned')\""),
        ["small.toml:7: ", "n_head"],
    ),
    "an expression on an unknown name": (("n_head = 2", 'n_head = "n_embed // 8"'), ["did you mean 'n_embd'?"]),
    "a missing corpus": (('"text.txt"', '"missing.txt"'), ["missing.txt", "corpus"]),
    "a corpus with too long a name": (('"text.txt"', f'"{"x" * 300}"'), ["corpus", "File name too long"]),
    "a study without a corpus": (('corpus = "text.txt"', ""), ["small.toml:", "corpus"]),
    "a corpus shorter than a block": (("block_size = 8", "block_size = 4000"), ["corpus", "too short", "4,001"]),
    "a name that leads out of the results folder": (('name = "small"', 'name = "../out"'), ["small.toml:2: ", "name"]),
    "a grid of a billion trials": (
        ("seed = [1, 2]", "\n".join(f"{n} = {list(range(1, 1001))}" for n in ("seed", "n_layer", "batch_size"))),
        ["small.toml:", "1,000,000,000"],
    ),
    "an unknown ranking": (("top = 1", 'top = 1\nby = "val_los"'), ["did you mean 'val_loss'?"]),
}
"""By mistake: the change to `STUDY`, and what the message must contain."""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes `STUDY` with a change, and its corpus."""

    def study(change: tuple[str, str] = ("", "")) -> Path:
        assert change[0] in STUDY
        path = tmp_path / "small.toml"
        path.write_text(STUDY.replace(*change) if change[0] else STUDY, encoding="utf-8")
        (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
        return path

    return study


def assert_refused(ran: subprocess.CompletedProcess[str], tmp_path: Path, *parts: str) -> None:
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("litegpt: ")
    for part in parts:
        assert part in line
    assert {path.name for path in tmp_path.iterdir()} <= {"small.toml", "text.txt"}, "nothing is written"


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_a_bad_study_is_refused(litegpt, tmp_path: Path, write: Write, change: tuple) -> None:
    write(change[0])
    assert_refused(litegpt("run", "small.toml", "--device", "cpu"), tmp_path, *change[1])


@pytest.mark.parametrize("mistake", ["an unknown key", "a corpus shorter than a block"])
def test_plan_and_dry_run_print_the_same_error(litegpt, tmp_path: Path, write: Write, mistake: str) -> None:
    change, parts = BAD[mistake]
    write(change)
    by_plan, by_dry_run = litegpt("plan", "small.toml"), litegpt("run", "--dry-run", "small.toml")
    assert_refused(by_plan, tmp_path, *parts)
    assert_refused(by_dry_run, tmp_path, *parts)
    assert by_plan.stderr == by_dry_run.stderr


@pytest.mark.parametrize(
    "options", [["--phase", "three"], ["--pack-width", "0"], ["--patience", "0"], ["--workers", "0"]], ids=" ".join
)
def test_a_dry_run_checks_the_options_of_a_run(litegpt, tmp_path: Path, write: Write, options: list[str]) -> None:
    write()
    by_dry_run, by_run = (litegpt("run", "small.toml", *options, *more) for more in (["--dry-run"], []))
    assert_refused(by_dry_run, tmp_path)
    assert by_dry_run.stderr == by_run.stderr


@pytest.mark.parametrize("command", [["plan"], ["run", "--dry-run"], ["run"]], ids=" ".join)
def test_results_of_another_text_are_refused(litegpt, tmp_path: Path, write: Write, command: list[str]) -> None:
    write()
    journal = tmp_path / "results" / "small" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    with Journal(journal, "small") as writer:
        writer.append(study_started(sha256="00" * 32))
    ran = litegpt(*command, "small.toml")
    assert ran.returncode == 2
    assert "the corpus is not the text that these results were trained on" in ran.stderr


def test_a_missing_study(litegpt, tmp_path: Path) -> None:
    assert_refused(litegpt("run", "none.toml"), tmp_path, "none.toml", "no such file")


def test_a_study_that_is_a_folder(litegpt, tmp_path: Path) -> None:
    (tmp_path / "small.toml").mkdir()
    assert_refused(litegpt("run", "small.toml"), tmp_path, "small.toml", "folder")


def test_an_error_names_the_byte_that_is_not_utf8(litegpt, tmp_path: Path, write: Write) -> None:
    write()
    (tmp_path / "text.txt").write_bytes(TEXT.encode() + b"caf\xe9 au lait")
    offset = f"{len(TEXT) + 3:,}"
    assert_refused(litegpt("run", "small.toml"), tmp_path, "text.txt", "UTF-8", "0xe9", offset)


def test_an_empty_corpus(litegpt, tmp_path: Path, write: Write) -> None:
    write()
    (tmp_path / "text.txt").write_bytes(b"")
    assert_refused(litegpt("run", "small.toml"), tmp_path, "corpus", "too short")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--phase", "tow"], "did you mean 'two'?"),
        (["--device", "tpu"], "--device tpu"),
        (["--workers", "0"], "--workers 0"),
    ],
)
def test_a_bad_option(litegpt, tmp_path: Path, write: Write, options: list[str], part: str) -> None:
    write()
    assert_refused(litegpt("run", "small.toml", *options), tmp_path, part)


def test_a_missing_device(litegpt, tmp_path: Path, write: Write) -> None:
    write()
    ran = litegpt("run", "small.toml", "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert_refused(ran, tmp_path, "--device cuda", "no GPU")


@pytest.mark.parametrize("results", ["text.txt", "text.txt/below"])
def test_results_that_cannot_be_a_folder(litegpt, tmp_path: Path, write: Write, results: str) -> None:
    write()
    assert_refused(litegpt("run", "small.toml", "--results", results), tmp_path, "text.txt")
    assert (tmp_path / "text.txt").read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize("name", ["\x1b[31mred\x1b[0m.toml", "a\nb\u202ec.toml", "[bold]x[/].toml"])
def test_a_file_name_is_shown_inert(litegpt, tmp_path: Path, name: str) -> None:
    ran = litegpt("plan", name)
    assert_refused(ran, tmp_path, "no such file")
    assert not any(character in ran.stderr for character in "\x1b\u202e")
    assert "[bold]" in ran.stderr or "[bold]" not in name, "markup is text"


@pytest.mark.parametrize("corpus", [r"\u001b[31mred\u202e.txt", r"a\n[/bold].txt"])
def test_a_corpus_path_is_shown_inert(litegpt, tmp_path: Path, write: Write, corpus: str) -> None:
    write(("text.txt", corpus))
    ran = litegpt("plan", "small.toml")
    assert_refused(ran, tmp_path, "corpus")
    assert "\x1b" not in ran.stderr
    assert "\u202e" not in ran.stderr


@pytest.mark.parametrize("name", [r"\u001b[31mred", "[/bold]", "a/b"])
def test_an_impossible_name_of_a_study(litegpt, tmp_path: Path, write: Write, name: str) -> None:
    write(('"small"', f'"{name}"'))
    ran = litegpt("plan", "small.toml")
    assert_refused(ran, tmp_path, "name")
    assert "\x1b" not in ran.stderr
