from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from litegpt.analysis.bands import bands, matched, matched_trials, t_quantile, unmatched
from litegpt.analysis.curves import read_curves
from litegpt.analysis.findings import pareto_front, suspicious
from litegpt.analysis.overfitting import overfitting
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metrics import Evaluation, Evaluations
from litegpt.study.trial import Trial
from tests.builders import trial_state

KEYS = ["LR", "Heads", "Embeddings", "Block Size", "Batch Size", "Layers"]


def curve(losses: list[tuple[int, float, float]]) -> Evaluations:
    return Evaluations(Evaluation(step=step, train_loss=train, val_loss=val) for step, train, val in losses)


def test_bands_equal_pandas_groups_and_end_with_the_phase(original: StudyFolder, seed_study: Path) -> None:
    steps = pd.concat(pd.read_csv(seed_study / name / "output_steps.csv") for name in ("phase1", "phase2"))
    trials = list(read_journal(original.journal).trials())
    curves = read_curves(original, trials)
    expected = steps.groupby(["Embeddings", "Step"])["Validation Loss"].agg(["mean", "min", "max", "count"])
    found = {band.value: band for band in bands(trials, curves, "n_embd", "val_loss")}
    assert list(found) == [64, 128, 192, 256, 384, 512, 768]
    for value, band in found.items():
        for segment in band.segments:
            rows = expected.loc[value].loc[list(segment.steps)]
            np.testing.assert_allclose(segment.mean, rows["mean"])
            np.testing.assert_array_equal(segment.low, rows["min"])
            np.testing.assert_array_equal(segment.high, rows["max"])
            assert set(rows["count"]) == {segment.trials}
    assert [(s.steps[0], s.steps[-1]) for s in found[512].segments] == [(0, 400), (500, 1400)]
    assert [(s.steps[0], s.steps[-1]) for s in found[64].segments] == [(0, 400)]


def test_trials_evaluated_less_often_set_the_steps() -> None:
    often, seldom = (Trial(1, 1, 16, 8, 4, 1e-3, length) for length in (100, 300))
    trials = [trial_state(trial) for trial in (often, seldom)]
    curves = {
        ("p", often.id): curve([(step, 1.0, 1.0) for step in (0, 50, 100)]),
        ("p", seldom.id): curve([(step, 3.0, 3.0) for step in (0, 100, 200, 300)]),
    }
    (band,) = bands(trials, curves, "n_layer", "val_loss")
    assert [(s.steps, s.mean, s.trials) for s in band.segments] == [
        ((0, 100), (2.0, 2.0), 2),
        ((200, 300), (3.0, 3.0), 1),
    ]


def test_matched_values_are_compared_on_equal_settings(original: StudyFolder, seed_study: Path) -> None:
    steps = pd.read_csv(seed_study / "phase1" / "output_steps.csv")
    best = steps.groupby(KEYS)["Validation Loss"].min().reset_index()
    rest = ["LR", "Block Size", "Batch Size", "Layers"]
    wide = best.pivot_table(index=rest, columns="Embeddings", values="Validation Loss").dropna()
    rows = {row.value: row for row in matched(read_journal(original.journal).phases["phase1"].current(), "n_embd")}
    assert {row.settings for row in rows.values()} == {len(wide)} == {182}  # 189 settings, 7 of them without width 768
    differences = wide.sub(wide.mean(axis=1), axis=0)
    for value, row in rows.items():
        assert row.mean == pytest.approx(wide[value].mean())
        assert row.difference == pytest.approx(differences[value].mean())
        assert row.margin == pytest.approx(scipy.stats.t.ppf(0.975, len(wide) - 1) * differences[value].sem())
    chosen = matched_trials(read_journal(original.journal).phases["phase1"].current(), "n_embd")
    assert len(chosen) == 182 * 7


def test_a_vocabulary_goes_with_its_tokenizer() -> None:
    tokens = [("char", 0), ("byte", 0), ("bpe", 512), ("word", 512)]
    settings = [
        Trial(1, 1, 16, 8, 4, rate, 100, tokenizer=tokenizer, vocab_size=size)
        for rate in (1e-3, 3e-3)
        for tokenizer, size in tokens
    ]
    trials = [trial_state(trial, best_val_loss=2.0) for trial in settings]
    assert len(matched_trials(trials, "tokenizer")) == 8
    assert matched_trials(trials, "vocab_size") == []
    assert unmatched(trials, "vocab_size") == "No settings are equal but for vocab_size, which changes with tokenizer."
    larger = [Trial(1, 1, 16, 8, 4, 1e-3, 100, tokenizer="bpe", vocab_size=size) for size in (512, 1024)]
    sizes = [trial_state(trial) for trial in larger]
    assert matched_trials([*trials, sizes[1]], "tokenizer") == []  # which of BPE's two is to be compared?
    assert matched_trials(sizes, "vocab_size") == sizes
    assert unmatched(sizes, "learning_rate") == "No settings are equal but for learning_rate."


def test_the_front_has_the_trials_that_no_other_beats(original: StudyFolder, seed_study: Path) -> None:
    table = pd.read_csv(seed_study / "phase2" / "output.csv")
    points = table[["total_training_time", "final_loss"]].to_numpy()
    beaten = [((points <= point).all(axis=1) & (points < point).any(axis=1)).any() for point in points]
    expected = sorted(points[~np.array(beaten)].tolist())
    front = pareto_front(read_journal(original.journal).phases["phase2"].current(), "final_loss")
    assert [[trial.metrics.seconds, trial.metrics.final_loss] for trial in front] == expected


def test_a_slow_trial_is_suspicious() -> None:
    trials = []
    for place, rate in enumerate([6e-4, 3e-4, 2.5e-4, 1e-4, 6e-5]):
        trial = Trial(4, 12, 768, 128, 64, rate, 10_000)
        seconds = 26_096.0 if place == 3 else 3_674.0 + place
        trials.append(trial_state(trial, phase="phase4", seconds=seconds, val_loss=4.7))
    (slow,) = suspicious(trials)
    assert (slow.kind, slow.trial) == ("slow", trials[3].id)
    assert "7.1 times the median of 4 trials of its shape" in slow.words
    alone = [trials[3]] + [
        trial_state(trial, phase="phase4", seconds=seconds)
        for trial, seconds in [
            (Trial(6, 12, 768, 128, 48, 6e-4, 10_000), 4291.0),
            (Trial(6, 12, 768, 128, 48, 3e-4, 10_000), 4231.0),
            (Trial(4, 12, 768, 128, 48, 6e-4, 10_000), 2870.0),
            (Trial(6, 8, 512, 128, 64, 6e-4, 10_000), 2852.0),
        ]
    ]
    (slow,) = suspicious(alone)
    assert slow.trial == trials[3].id
    assert "trials of similar cost" in slow.words


def test_hung_runs_of_the_original_are_suspicious(original: StudyFolder, seed_study: Path) -> None:
    table = pd.read_csv(seed_study / "phase1" / "output.csv")
    shape = table.groupby(KEYS[1:])["total_training_time"]
    hung = table[table["total_training_time"] > 2 * shape.transform("median")]
    found = [s for s in suspicious(read_journal(original.journal).phases["phase1"].current()) if s.kind == "slow"]
    assert len(found) == len(hung) == 1
    assert f"{hung['total_training_time'].iloc[0]:,.0f} s" in found[0].words


def test_a_failed_trial_is_suspicious() -> None:
    trial = Trial(1, 1, 16, 8, 4, 1.0, 100)
    (bad,) = suspicious([trial_state(trial, "failed", step=20, reason="out of memory")])
    assert (bad.kind, bad.words) == ("failed", "failed at step 20: out of memory")


MEMORISED = [
    (0, 4.6, 4.6),
    (500, 1.4, 1.80),
    (700, 1.1, 1.76),
    (1000, 0.7, 1.99),
    (5000, 0.09, 4.2),
    (9900, 0.08, 4.77),
]


def test_a_memorising_trial_is_described() -> None:
    found = overfitting(curve(MEMORISED), vocabulary=86)
    assert found is not None
    assert found.word == "overfitting since step 700, worse than guessing"  # ln 86 is 4.45
    assert (found.best_val_loss, found.best_val_step, found.last_val_loss) == (1.76, 700, 4.77)
    assert found.gap == pytest.approx(4.69)
    trial = Trial(4, 12, 768, 128, 64, 6e-4, 10_000)
    ended = trial_state(trial, val_loss=4.77, best_val_loss=1.76, best_val_step=700)
    (told,) = suspicious([ended], {("p", trial.id): curve(MEMORISED)}, n_symbols=86)
    assert told.kind == "worse than guessing"
    assert told.words == (
        f"validation loss 4.77 at the end, a uniform guess has {math.log(86):.2f}; its best was 1.76 at step 700"
    )


@pytest.mark.parametrize(
    ("losses", "word"),
    [
        ([4.0, 3.0, 2.5, 2.2], "improving"),
        ([4.0, 2.0, 2.0, 2.001, 1.999], "flat"),
        ([4.0, 2.0, 2.1, 2.2], "overfitting since step 1"),
    ],
)
def test_the_trend_in_a_word(losses: list[float], word: str) -> None:
    found = overfitting(curve([(step, 1.0, loss) for step, loss in enumerate(losses)]))
    assert found is not None
    assert found.word == word


def test_noise_is_not_overfitting() -> None:
    rising = curve([(0, 1, 3.0), (1, 1, 2.0), (2, 1, 2.1)])
    assert overfitting(rising).course == "overfitting"
    assert overfitting(rising, noise=0.1).course == "flat" or overfitting(rising, noise=0.1).course == "improving"
    assert overfitting(curve([(0, 1, 3.0)])) is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 181])
def test_the_quantile_of_t_equals_scipy(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom))
