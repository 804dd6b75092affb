"""The studies that `propose` writes: valid, sized to the text, the device and the time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.estimate.device import PROFILES, DeviceSpec
from litegpt.estimate.forecast import Measurement, Throughput
from litegpt.estimate.memory import training_memory
from litegpt.estimate.proposal import TEMPLATES, Proposal, TextCounts, propose
from litegpt.study.study import Study, parse_study
from tests.builders import make_trial

CPU = DeviceSpec("a CPU", "cpu", 8e9, "fp32")
TWO_CORES = Throughput(CPU, workers=2)
H100 = Throughput(PROFILES["h100-80g"], source="stated")
NOVELLA = TextCounts(112_191, 61)


def proposed(
    counts: TextCounts = NOVELLA, throughput: Throughput = TWO_CORES, minutes: float = 5.0, template: str = "sweep"
) -> Proposal:
    return propose("mine", "book.txt", counts, throughput, minutes, template)


def study_of(proposal: Proposal) -> Study:
    return parse_study(proposal.text, Path("study.toml"))


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("minutes", [0.2, 5, 600])
@pytest.mark.parametrize("characters", [300, 112_191, 100_000_000])
@pytest.mark.parametrize("throughput", [TWO_CORES, replace(TWO_CORES, workers=16), H100], ids=["2", "16", "gpu"])
def test_any_text_and_time_make_a_valid_study(
    throughput: Throughput, characters: int, minutes: float, template: str
) -> None:
    proposal = proposed(TextCounts(characters, 70), throughput, minutes, template)
    study = study_of(proposal)
    assert (study.name, study.corpus) == ("mine", "book.txt")
    validation = characters - int(characters * (1 - study.split.fraction))
    for phase in study.phases:
        candidates = study.bounds[phase.name].candidates
        assert candidates is not None
        for trial in candidates.trials:
            assert trial.block_size < validation
            assert training_memory(trial, 70, throughput.device).total < throughput.device.usable
    # On a GPU, most of 12 seconds passes before the training starts.
    slack = 30 if throughput is H100 else 0
    assert proposal.seconds < 2 * 60 * minutes + slack
    assert proposal.is_limited_by_text or proposal.seconds >= 60 * minutes / 2


def test_more_time_makes_larger_models_and_a_faster_device_too() -> None:
    def largest(proposal: Proposal) -> int:
        candidates = study_of(proposal).bounds["grid"].candidates
        assert candidates is not None
        return max(trial.n_embd for trial in candidates.trials)

    counts = TextCounts(1_000_000, 70)
    widths = [largest(proposed(counts, minutes=minutes)) for minutes in (0.2, 5, 60, 600)]
    assert widths == sorted(set(widths))
    assert largest(proposed(counts, H100)) > widths[1]


def test_the_best_trials_are_trained_for_longer() -> None:
    study = study_of(proposed())
    grid, best = (study.bounds[name].candidates for name in ("grid", "best"))
    assert grid is not None
    assert best is not None
    assert best.trials[0].max_iters >= 2 * grid.trials[0].max_iters
    assert study.bounds["best"].trials_max == 2


def test_many_workers_all_have_trials() -> None:
    study = study_of(proposed(throughput=replace(TWO_CORES, workers=16)))
    assert study.bounds["grid"].trials_max >= 16


def test_a_short_text_does_not_take_all_of_a_long_time() -> None:
    proposal = proposed(minutes=600)
    assert proposal.is_limited_by_text
    assert "# More time would not help" in proposal.text
    assert "more time" not in proposed().text.casefold()


def test_the_comment_states_what_an_unknown_speed_is_assumed_to_be() -> None:
    proposal = proposed()
    assert "8 to 50 GFLOP/s per core" in proposal.assumption
    assert proposal.assumption in proposal.text
    measured = Throughput(CPU, [Measurement(make_trial(), 1, 1e10)], "measured", 2)
    assert proposed(throughput=measured).assumption == ""
    gpu = DeviceSpec("a GPU", "cuda", 24e9, "bf16")
    assert "rtx2070-8g" in proposed(throughput=Throughput(gpu)).assumption


def test_names_with_quotes_breaks_and_control_characters_are_safe() -> None:
    corpus = 'it\'s "new"\n[study]\x1b[31m\x7f \\ #.txt'
    proposal = propose("mine", corpus, NOVELLA, TWO_CORES, 5, remarks=[f"Cleaning: {corpus}"])
    assert study_of(proposal).corpus == corpus
    assert "\x1b" not in proposal.text


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_a_time_out_of_range(minutes: float) -> None:
    with pytest.raises(InputError, match="--minutes"):
        proposed(minutes=minutes)


def test_a_text_too_short_to_split() -> None:
    with pytest.raises(InputError, match="too short: its validation split has 8 characters, and a"):
        proposed(TextCounts(80, 20))
    study_of(proposed(TextCounts(90, 20)))
