from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from litegpt.errors import InputError
from litegpt.study.document import read_text
from litegpt.study.edit.append import append_phase
from litegpt.study.edit.phase_text import free_phase_name, value_text
from litegpt.study.expand import Expansion, expand_phases
from litegpt.study.phase import Promotion
from litegpt.study.snapshot import snapshot
from litegpt.study.study import Study, parse_study, read_study
from litegpt.study.trial import Trial

StudyOf = Callable[[str], Study]

PHASES = """
[[phase]]   # the widths
name   = "one"
n_head = "n_embd // 16"
[phase.grid]
n_embd = [64,
          128]  # two
learning_rate = [2e-3, 1e-3]
[[phase.exclude]]
n_embd = 64
learning_rate = 1e-3
"""


def best_two(study: Study) -> Callable[[Promotion, Expansion], Sequence[Trial]]:
    candidates = study.bounds["one"].candidates
    assert candidates is not None
    return lambda promotion, source: candidates.trials[: promotion.top]


def promoted(name: str, promotion: Promotion) -> dict[str, Any]:
    return {"name": name, "max_iters": 900, "promote": promotion.table()}


def test_a_promotion_is_added_and_the_rest_stays(study_of: StudyOf, tmp_path: Path) -> None:
    study = study_of(PHASES)
    text = read_text(study.path)
    promotion = Promotion("one", 2, by="final_loss", how="exact", start="checkpoint")
    edited = append_phase(text, {**promoted("two", promotion), "dropout": 0.1, "grid": {"seed": [1, 2]}})
    assert edited.startswith(text)
    assert edited.removeprefix(text) == (
        '\n[[phase]]\nname = "two"\nmax_iters = 900\ndropout = 0.1\n'
        '[phase.promote]\nfrom = "one"\ntop = 2\nby = "final_loss"\nhow = "exact"\nstart = "checkpoint"\n'
        "[phase.grid]\nseed = [1, 2]\n"
    )
    second = parse_study(edited, study.path).phase("two")
    assert second.promotion == promotion
    assert (second.fixed, second.axes) == ({"max_iters": 900, "dropout": 0.1}, {"seed": (1, 2)})


def test_line_ends_stay_as_they_are(study_of: StudyOf) -> None:
    text = read_text(study_of(PHASES).path).replace("\n", "\r\n")
    edited = append_phase(text, promoted("two", Promotion("one", 2)))
    assert edited.count("\n") == edited.count("\r\n")


def test_a_promotion_that_cannot_be_added_is_refused(study_of: StudyOf) -> None:
    text = read_text(study_of(PHASES).path)
    with pytest.raises(InputError, match="has a phase 'ONE' already"):
        append_phase(text, promoted("ONE", Promotion("one", 2)))
    with pytest.raises(InputError, match=r"head each with \[\[phase\]\] first"):
        append_phase("phase = [{name = 'one'}]\n", promoted("two", Promotion("one", 2)))


def test_a_snapshot_reads_as_the_study_that_ran(study_of: StudyOf, tmp_path: Path) -> None:
    study = study_of(
        PHASES
        + '[[phase]]\nname = "two"\nmax_iters = 300\npromote = {from = "one", top = 2}\ntrial = [{n_embd = 48}]\n'
        + '[[phase]]\nname = "three"\npromote = {from = "one", top = 1, how = "exact"}\n'
        + '[[phase]]\nname = "four"\npromote = {from = "one", top = 9}\nexclude = [{n_embd = 128}]\n'
    )
    expansions = expand_phases(study.phases, best_two(study))
    path = tmp_path / "results" / "study.toml"
    path.parent.mkdir()
    path.write_text(snapshot(study, expansions), encoding="utf-8")
    again = read_study(path)
    assert (again.name, again.corpus_location) == ("small", study.corpus_location)
    assert expand_phases(again.phases, best_two(again)) == expansions
    assert again.phase("two").axes == expansions["two"].axes


def test_a_snapshot_counts_its_trials(study_of: StudyOf) -> None:
    study = study_of(PHASES + '[[phase]]\nname = "two"\npromote = {from = "one", top = 2}\n')
    text = snapshot(study, expand_phases(study.phases, lambda promotion, source: None))
    assert text.startswith("# The study as it ran.\n# one: 3 trials, 1 excluded\n# two: waits for its promotion\n")
    nothing = expand_phases(study.phases, lambda promotion, source: [])
    assert parse_study(snapshot(study, nothing), study.path).phase("two").axes == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (3, "3"), (6e-4, "6e-4"), (0.1, "0.1"), (1e-4 / 3, "3.3333333333333335e-5"), (2e6, "2e6")],
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    assert value_text(value) == text
    assert tomllib.loads(f"x = {text}")["x"] == value


@pytest.mark.parametrize("text", ['a "quoted" name', "back\\slash", "tab\tand\x7fdelete", "Ünï"])
def test_any_text_can_be_written(text: str) -> None:
    assert tomllib.loads(f"x = {value_text(text)}")["x"] == text


def test_a_free_name_ignores_capitals() -> None:
    assert free_phase_name([]) == "phase1"
    assert free_phase_name(["phase1", "PHASE3", "x"]) == "phase4"
    assert free_phase_name(["phase1", "Phase4", "x"]) == "phase5"
    assert free_phase_name(["a", "A-2"], "a-", first=2) == "a-3"
