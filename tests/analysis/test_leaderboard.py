from __future__ import annotations

import hashlib
import json
import math
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from litegpt.analysis.curves import key_of, read_curves
from litegpt.analysis.evaluation_noise import evaluation_noise, pooled_deviation
from litegpt.analysis.leaderboard import leaderboard, tie_note, varying
from litegpt.analysis.query import parse_query
from litegpt.analysis.study_text import CopyMeter
from litegpt.cli.main import main
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metric import TrialMetrics
from litegpt.results.metrics import Evaluation, Evaluations
from litegpt.results.samples import Copied, Sample, append_sample
from litegpt.results.state import TrialState
from tests.analysis.conftest import imported_study, imported_trial, smooth_losses
from tests.builders import make_trial, trial_state

ROOT = Path(__file__).parents[2]


def state(loss: float | None, status: str = "done", **settings: object) -> TrialState:
    return trial_state(make_trial(**settings), status, best_val_loss=loss, val_loss=loss, train_loss=1.0)


def test_lowest_loss_first_and_unfinished_trials_last() -> None:
    trials = [
        state(2.0, n_layer=1),
        state(1.5, n_layer=2),
        state(None, "queued", n_layer=3),
        state(1.0, "diverged", n_layer=4),
        state(1.0, "failed", n_layer=5),
    ]
    rows = leaderboard(trials)
    assert [(row.rank, row.settings.n_layer) for row in rows] == [(1, 2), (2, 1), (None, 3), (None, 4), (None, 5)]
    assert varying(rows) == ("n_layer",)
    assert rows[0].metrics.gap == 0.5


def test_a_filter_keeps_the_ranks() -> None:
    trials = [state(float(layers), n_layer=layers) for layers in range(1, 6)]
    assert [row.rank for row in leaderboard(trials, query=parse_query("n_layer>=3"))] == [3, 4, 5]


def test_seeds_are_one_row_with_mean_and_spread() -> None:
    losses = {1: [1.0, 1.2, 1.1], 2: [1.05, 1.35]}
    trials = [state(loss, n_layer=n, seed=seed) for n, group in losses.items() for seed, loss in enumerate(group)]
    rows = leaderboard(trials)
    assert [row.seeds for row in rows] == [3, 2]
    assert rows[0].metrics.best_val_loss == pytest.approx(np.mean(losses[1]))
    assert rows[0].spread == pytest.approx(np.std(losses[1], ddof=1))
    assert rows[0].id == trials[0].id
    assert set(rows[0].ids) == {trial.id for trial in trials[:3]}
    frame = pd.DataFrame([(n, loss) for n, group in losses.items() for loss in group], columns=["n", "loss"])
    within = frame["loss"] - frame.groupby("n")["loss"].transform("mean")
    assert pooled_deviation(losses.values()) == pytest.approx(math.sqrt((within**2).sum() / (len(frame) - 2)))
    assert rows[1].tied  # 0.1 apart, and a seed moves the loss by 0.1 and more
    assert len(leaderboard(trials, group_seeds=False)) == 5


def test_ties_are_within_noise_of_their_first_trial() -> None:
    rows = leaderboard([state(loss, n_layer=n) for n, loss in enumerate([1.0, 1.02, 1.04, 1.06], 1)], noise=0.01)
    assert [row.tie for row in rows] == [1, 1, 3, 3]  # 95 % of differences of two figures are within 0.0277
    assert [row.tie for row in leaderboard([state(1.0, n_layer=1), state(1.02, n_layer=2)])] == [1, 2]


def test_the_noise_of_curves_is_estimated() -> None:
    draw = random.Random(1)

    def curve() -> Evaluations:
        losses = [2 + 3 * math.exp(-step / 300) + draw.gauss(0, 0.02) for step in range(0, 2000, 100)]
        return Evaluations(Evaluation(step=100 * i, val_loss=loss) for i, loss in enumerate(losses))

    curves = [curve() for _ in range(60)]
    assert evaluation_noise(curves, "best_val_loss") == pytest.approx(0.02, rel=0.15)
    assert evaluation_noise(curves, "train_loss") is None
    assert evaluation_noise(curves, "seconds") is None
    assert evaluation_noise([Evaluations(curves[0][:3])], "val_loss") is None


def test_the_noise_of_a_best_loss_is_measured_near_the_minimum() -> None:
    """A trial that overfits is noisier long after its best evaluation."""
    draw = random.Random(2)

    def curve() -> Evaluations:
        steps = range(0, 5000, 100)
        noise = [draw.gauss(0, 0.01 if step < 2000 else 0.05) for step in steps]
        losses = [2 + ((step - 1000) / 2000) ** 2 + noise[i] for i, step in enumerate(steps)]
        return Evaluations(Evaluation(step=step, val_loss=losses[i]) for i, step in enumerate(steps))

    curves = [curve() for _ in range(60)]
    assert evaluation_noise(curves, "best_val_loss") == pytest.approx(0.01, rel=0.15)
    assert evaluation_noise(curves, "val_loss") == pytest.approx(0.05, rel=0.15)


def test_the_margin_of_a_tie_is_printed() -> None:
    losses = [1.0, 1.02, 1.04]
    rows = leaderboard([state(loss, n_layer=n) for n, loss in enumerate(losses, 1)], noise=0.01)
    assert [row.margin for row in rows] == [None, pytest.approx(1.96 * math.sqrt(2) * 0.01), None]
    assert "up to 0.0277" in tie_note(rows)
    assert tie_note(rows[:1]) == ""


def test_the_leaderboard_as_of_a_step(made: StudyFolder) -> None:
    trials = read_journal(made.journal).phases["phase2"].current()
    curves = read_curves(made, trials)
    then = [trial.at(450, curves[key_of(trial)]) for trial in trials]
    row = leaderboard(then)[0]
    assert row.metrics.step == 400
    assert row.metrics.best_val_loss == pytest.approx(smooth_losses(row.settings, 400)[1])
    assert trials[0].at(10**6, curves[key_of(trials[0])]) == trials[0]
    assert trials[0].at(5, Evaluations()).metrics == TrialMetrics()


@pytest.mark.parametrize("by", ["best_val_los", "n_layer", "val", "tokens_per_second", "id", "gap"])
def test_a_metric_that_ranks_nothing_is_one_line(
    made: StudyFolder, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    assert main(["leaderboard", str(made.path), "--by", by]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"cannot rank by '{by}'" in lines[0]


def test_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(InputError, match="did you mean 'val_loss'"):
        leaderboard([], "vall_loss")


def test_ranks_of_the_original_equal_pandas(original: StudyFolder, seed_study: Path) -> None:
    steps = pd.read_csv(seed_study / "phase2" / "output_steps.csv")
    keys = ["LR", "Heads", "Embeddings", "Block Size", "Batch Size", "Layers"]
    best = steps.groupby(keys)["Validation Loss"].min().sort_values(kind="stable")
    rows = leaderboard(read_journal(original.journal).phases["phase2"].current(), n_symbols=86)
    assert [row.metrics.best_val_loss for row in rows] == best.tolist()
    assert round(max(row.parameters or 0 for row in rows) / 1e6, 1) == 42.7  # as the original reports


def test_the_command_prints_rows(made: StudyFolder, tmp_path: Path, capsys) -> None:
    assert main(["leaderboard", str(made.path), "--json", "--filter", "n_layer:2 lr>=1e-3"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert len(records) == 6
    assert records[0]["rank"] == 1
    assert records[0]["n_layer"] == 2
    assert main(["leaderboard", str(made.path), "--phase", "phase1", "--top", "2", "--by", "seconds"]) == 0
    output = capsys.readouterr()
    assert "lr" in output.out
    assert "2 of 18 rows" in output.err
    assert main(["leaderboard", str(made.path), "--phase", "phase3"]) == 2
    assert "did you mean" in capsys.readouterr().err
    study = tmp_path / "some.toml"
    study.touch()
    assert main(["leaderboard", str(study)]) == 2
    assert "results/some" in capsys.readouterr().err


def test_the_copied_share_needs_the_corpus(made: StudyFolder, tmp_path: Path, capsys) -> None:
    assert main(["leaderboard", str(made.path), "--copied"]) == 2
    assert "the corpus of this study cannot be read" in capsys.readouterr().err
    text = "one two three four five six seven eight nine ten " * 20
    (tmp_path / "text.txt").write_text(text)
    (made.path / "study.toml").write_text('[study]\ncorpus = "text.txt"\n[[phase]]\nname = "a"\n' + PHASE)
    (made.path / "text.txt").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    corpus = {"path": "text.txt", "sha256": digest, "characters": len(text), "vocab_size": 17}
    with made.journal.open("a") as file:
        file.write(json.dumps({"event": "study_started", "study": "made", "corpus": corpus}) + "\n")
    trial = read_journal(made.journal).phases["phase2"].current()[0]
    copy = Sample(
        step=1000, loss=1.0, text="x three four five six seven eight nine ten one", prompt="", temperature=1, seed=0
    )
    append_sample(made.trial("phase2", trial.id).samples, copy)
    assert main(["leaderboard", str(made.path), "--copied", "--json"]) == 0
    shares = {row["id"]: row["copied"] for row in json.loads(capsys.readouterr().out)}
    assert shares.pop(trial.id) == pytest.approx(0.9)
    assert set(shares.values()) == {0.0}


def test_a_recorded_copied_share_is_used(tmp_path: Path, capsys) -> None:
    folder = imported_study(tmp_path, {"only": [imported_trial(smooth_losses, text="")]})
    (trial,) = read_journal(folder.journal).trials()
    copied = Copied(share=0.5, longest=9, validation_share=0.0, validation_longest=0)
    sample = Sample(step=500, loss=1.0, text="some text", prompt="", temperature=1, seed=0, copied=copied)
    append_sample(folder.trial("only", trial.id).samples, sample)
    assert main(["leaderboard", str(folder.path), "--copied", "--json"]) == 0
    assert [row["copied"] for row in json.loads(capsys.readouterr().out)] == [0.5]
    assert CopyMeter(folder, read_journal(folder.journal)).measure(sample) == copied


PHASE = """
n_layer = 1
n_head = 1
n_embd = 8
block_size = 4
batch_size = 1
learning_rate = 1
max_iters = 1
[phase.grid]
seed = [1]
"""


def test_a_line_fits_its_terminal(made: StudyFolder) -> None:
    from litegpt.cli.leaderboard import leaderboard_table

    rows = leaderboard(read_journal(made.journal).phases["phase2"].current())
    wide = leaderboard_table(rows, "t", 300, "best_val_loss")
    narrow = leaderboard_table(rows, "t", 80, "best_val_loss")
    assert [column.header for column in wide.columns][:2] == ["rank", "layers"]
    assert {"rank", "best val"} < {column.header for column in narrow.columns} < {c.header for c in wide.columns}
    without_id = [column.header for column in leaderboard_table(rows, "t", 48, "best_val_loss").columns]
    assert "id" not in without_id
    assert "lr" in without_id  # nothing else tells the rows apart


def test_ranking_and_filtering_load_nothing_heavy() -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "import litegpt.analysis.leaderboard, litegpt.analysis.query, litegpt.analysis.curves, litegpt.analysis.cut\n"
        "import litegpt.analysis.promote, litegpt.analysis.overfitting\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'scipy', 'torch', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr


def test_computed_losses_give_the_expected_ranks(made: StudyFolder) -> None:
    best = leaderboard(read_journal(made.journal).phases["phase1"].current())[0].settings
    assert (best.learning_rate, best.n_layer, best.n_embd) == (1e-2, 2, 128)
