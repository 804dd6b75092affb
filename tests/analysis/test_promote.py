from __future__ import annotations

import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from litegpt.analysis.cut import cut_safety, spearman
from litegpt.analysis.promote import default_length
from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.study import read_study
from litegpt.study.trial import Trial
from tests.analysis.conftest import imported_study, imported_trial, smooth_losses

STUDY = """# mine
[study]
name = "made"
corpus = "text.txt"

[defaults]
n_head = "n_embd // 16"
block_size = 32
batch_size = 16

[[phase]]
name = "phase1"
max_iters = 500
[phase.grid]
learning_rate = [1e-2, 1e-3, 1e-4]
n_layer = [1, 2]
n_embd = [32, 64, 128]
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "made.toml"
    path.write_text(STUDY)
    return path


def test_the_original_phase_2_is_reconstructed(original: StudyFolder, seed_study: Path, tmp_path: Path, capsys) -> None:
    study = tmp_path / "four_phases.toml"
    shutil.copy(Path(__file__).parents[2] / "studies" / "four_phases.toml", study)
    command = ["promote", str(study), "--from", "phase1", "--top", "50", "--by", "final_loss", "--how", "narrow"]
    assert main([*command, "--dry-run", "--json", "--results", str(original.root)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["count"] == len(printed["trials"]) == 320
    assert printed["rule"]["from"] == "phase1"
    table = pd.read_csv(seed_study / "phase2" / "output.csv")
    keys = ["learning_rate", "n_head", "n_embd", "block_size", "batch_size", "n_layer"]
    columns = ["LR", "Heads", "Embeddings", "Block Size", "Batch Size", "Layers"]
    expected = set(table[columns].itertuples(index=False, name=None))
    assert {tuple(trial[key] for key in keys) for trial in printed["trials"]} == expected
    assert {trial["max_iters"] for trial in printed["trials"]} == {1500}


def test_a_promotion_keeps_the_rest_of_the_file(made: StudyFolder, study_file: Path, capsys) -> None:
    command = ["promote", str(study_file), "--from", "phase1", "--top", "2", "--results", str(made.root)]
    assert main([*command, "--dry-run"]) == 0
    assert study_file.read_text() == STUDY
    assert main([*command, "--how", "exact", "--name", "longer", "--max-iters", "900"]) == 0
    assert study_file.read_text().startswith(STUDY)
    phase = read_study(study_file).phase("longer")
    assert phase.promotion is not None
    assert (phase.promotion.top, phase.promotion.how, phase.promotion.by) == (2, "exact", "best_val_loss")
    assert main([*command, "--name", "longer"]) == 2
    assert "has a phase 'longer' already" in capsys.readouterr().err


def test_simultaneous_promotions_are_all_written(made: StudyFolder, study_file: Path) -> None:
    command = ["promote", str(study_file), "--from", "phase1", "--results", str(made.root), "--top"]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda top: main([*command, str(top)]), range(1, 5))) == [0, 0, 0, 0]
    phases = read_study(study_file).phases
    assert [phase.name for phase in phases] == ["phase1", "phase2", "phase3", "phase4", "phase5"]
    assert {phase.promotion.top for phase in phases if phase.promotion is not None} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "phase9", "--top", "2"], "did you mean 'phase1'"),
        (["--from", "phase1", "--top", "2", "--by", "loss"], "choose one of"),
        (["--from", "phase1", "--top", "0"], "top"),
    ],
)
def test_a_wrong_promotion_is_one_clear_line(
    made: StudyFolder, study_file: Path, capsys, arguments: list[str], message: str
) -> None:
    assert main(["promote", str(study_file), "--results", str(made.root), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert study_file.read_text() == STUDY


def test_a_phase_without_results_promotes_nothing(tmp_path: Path, study_file: Path, capsys) -> None:
    command = ["promote", str(study_file), "--from", "phase1", "--top", "2", "--results", str(tmp_path / "none")]
    assert main(command) == 2
    assert "no results to rank by" in capsys.readouterr().err


def test_spearman_equals_scipy() -> None:
    generator = np.random.default_rng(0)
    a = generator.integers(0, 20, 100).astype(float)
    b = a + generator.normal(0, 8, 100).round()
    assert spearman(a.tolist(), b.tolist()) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert spearman([1.0, 1.0], [1.0, 2.0]) is None


def test_a_cut_reports_the_winners_earlier_ranks(tmp_path: Path) -> None:
    rates = [1e-2 / 2**n for n in range(10)]
    early = [imported_trial(smooth_losses, learning_rate=rate) for rate in rates]

    def reversed_pairs(trial, step):  # the neighbours 1 and 2, 3 and 4 ... change places
        place = rates.index(trial.learning_rate)
        loss = 1 + (place ^ 1) / 10 + 1 / (1 + step)
        return loss, loss

    late = [imported_trial(reversed_pairs, learning_rate=rate, max_iters=1000) for rate in rates[:8]]
    folder = imported_study(tmp_path, {"early": early, "late": late})
    (cut,) = cut_safety(read_journal(folder.journal), winners=4)
    assert cut.ranks == (2, 1, 4, 3)
    assert (cut.common, cut.sources) == (8, 10)
    assert (cut.kept(1), cut.kept(3), cut.safe_top) == (1, 3, 4)
    expected = scipy.stats.spearmanr(range(8), [place ^ 1 for place in range(8)]).statistic
    assert cut.correlation == pytest.approx(expected)
    assert "cutting at 2 would have kept 2 of them, at 4 all" in cut.sentence()


def test_an_unrecorded_cut_is_judged_by_its_own_metric(original: StudyFolder) -> None:
    (cut,) = cut_safety(read_journal(original.journal))
    assert cut.by == "final_loss"
    assert cut.rule == "no promotion on record; it matches the 46 to 52 best by final_loss, narrow"
    assert cut.correlation == pytest.approx(0.803, abs=1e-3)
    assert max(cut.ranks) == 44


def test_an_exact_cut_is_deduced(tmp_path: Path) -> None:
    rates = [1e-2 / 2**n for n in range(10)]
    early = [
        replace(imported_trial(smooth_losses, learning_rate=rate), final_loss=float((n * 7) % 10))
        for n, rate in enumerate(rates)
    ]
    best = sorted(early, key=lambda trial: trial.final_loss)[:3]
    late = [imported_trial(smooth_losses, learning_rate=trial.settings.learning_rate, max_iters=1000) for trial in best]
    (cut,) = cut_safety(read_journal(imported_study(tmp_path, {"early": early, "late": late}).journal))
    assert cut.rule.endswith("the 3 best by final_loss, exact")


@pytest.mark.parametrize(
    ("lengths", "source", "expected"),
    [
        ([500], 0, 1500),
        ([500, 1500], 1, 4500),
        ([500, 1500, 5000], 2, 17_000),
        ([500, 1500, 5000, 10_000], 2, 10_000),
        ([500, 1500, 5000, 10_000], 3, 20_000),
        ([500, 500], 1, 1500),
    ],
)
def test_the_default_length_follows_the_ratios_of_the_study(lengths: list[int], source: int, expected: int) -> None:
    phases = {}
    for number, length in enumerate(lengths):
        trial = Trial(1, 1, 8, 4, 1, 1.0, length)
        phases[f"p{number}"] = PhaseState(f"p{number}", trials={trial.id: TrialState(f"p{number}", trial.id, trial)})
    assert default_length(StudyState(phases=phases), f"p{source}") == expected


def test_promote_names_ties_before_it_writes(tmp_path: Path, study_file: Path, capsys) -> None:
    draw = random.Random(0)

    def noisy(trial: Trial, step: int) -> tuple[float, float]:
        loss = smooth_losses(trial, step)[1] * 0.01 + 2 + draw.gauss(0, 0.05)
        return loss, loss

    trials = [imported_trial(noisy, learning_rate=rate, max_iters=2000) for rate in (1e-2, 5e-3, 2e-3, 1e-3, 5e-4)]
    imported_study(tmp_path, {"phase1": trials})
    command = ["promote", str(study_file), "--from", "phase1", "--top", "2", "--results", str(tmp_path), "--dry-run"]
    assert main(command) == 0
    assert "below rank 2" in capsys.readouterr().err


def test_the_original_cut_equals_pandas(original: StudyFolder, seed_study: Path) -> None:
    keys = ["LR", "Heads", "Embeddings", "Block Size", "Batch Size", "Layers"]
    first, second = (
        pd.read_csv(seed_study / name / "output.csv").set_index(keys)["final_loss"] for name in ("phase1", "phase2")
    )
    (cut,) = cut_safety(read_journal(original.journal), "final_loss")
    both = pd.concat([first, second], axis=1, join="inner")
    assert cut.common == len(both) == 320
    assert cut.correlation == pytest.approx(both.corr(method="spearman").iloc[0, 1])
    ranks = first.rank()
    assert list(cut.ranks) == [ranks[key] for key in second.nsmallest(8).index]
