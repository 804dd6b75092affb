from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import mutual_info_regression

from litegpt.analysis.anova import anova
from litegpt.analysis.design import design
from litegpt.analysis.importance import disagreements, forest, permutation, scores
from litegpt.cli.main import main
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.state import TrialState
from litegpt.study.trial import Trial
from tests.builders import make_trial, trial_state

COLUMNS = ["LR", "Heads", "Embeddings", "Block Size", "Batch Size", "Layers"]


def trials_of(loss, seeds: int = 1, **axes) -> list[TrialState]:
    trials = []
    for values in itertools.product(*axes.values()):
        settings = dict(zip(axes, values, strict=True))
        for seed in range(seeds):
            trial = make_trial(**settings, seed=seed)
            trials.append(trial_state(trial, final_loss=loss(trial), seconds=1.0 + trial.n_layer))
    return trials


@pytest.fixture(scope="module")
def tables(seed_study: Path) -> pd.DataFrame:
    return pd.concat(pd.read_csv(seed_study / name / "output.csv") for name in ("phase1", "phase2"))


@pytest.mark.parametrize(
    ("target", "figures"), [("loss", "final_loss"), ("loss and time", ["final_loss", "total_training_time"])]
)
def test_the_forest_equals_scikit_learn_on_the_tables(original: StudyFolder, tables, target: str, figures) -> None:
    direct = RandomForestRegressor(random_state=0).fit(tables[COLUMNS], tables[figures])
    expected = dict(zip(COLUMNS, direct.feature_importances_, strict=True))
    found = forest(read_journal(original.journal).trials(), target)
    bars = {bar.name: bar for bar in found.bars}
    assert bars["learning_rate"].value == pytest.approx(expected["LR"], abs=1e-9)
    assert bars["n_layer"].value == pytest.approx(expected["Layers"], abs=1e-9)
    joint = bars["n_head + n_embd"]
    assert joint.value == pytest.approx(expected["Heads"] + expected["Embeddings"], abs=1e-9)
    assert dict(joint.members) == pytest.approx(
        {"n_head": expected["Heads"], "n_embd": expected["Embeddings"]}, abs=1e-9
    )
    assert sum(bar.value for bar in found.bars) == pytest.approx(1)
    assert any("n_head + n_embd: they vary together" in note for note in found.notes)
    assert found.trials == 1636


def test_the_scores_equal_scipy(original: StudyFolder, seed_study: Path) -> None:
    table = pd.read_csv(seed_study / "phase2" / "output.csv")
    found = {score.name: score for score in scores(read_journal(original.journal).phases["phase2"].current())}
    for name, column in [("learning_rate", "LR"), ("n_embd", "Embeddings"), ("n_layer", "Layers")]:
        r, p = scipy.stats.pearsonr(table[column], table["final_loss"])
        assert found[name].pearson == pytest.approx(r)
        assert found[name].p == pytest.approx(p, rel=1e-6)
        assert found[name].f == pytest.approx(r**2 / (1 - r**2) * (len(table) - 2))
    information = mutual_info_regression(table[COLUMNS], table["final_loss"], discrete_features=True, random_state=0)
    assert found["learning_rate"].mutual_information == pytest.approx(information[0])


def test_categories_are_judged_by_their_groups() -> None:
    """No order of tokenizers is theirs, so the one in the middle may well be the best."""
    by_tokenizer = {"char": 3.0, "byte": 2.9, "word": 2.0}
    trials = trials_of(
        lambda trial: by_tokenizer[trial.tokenizer] + trial.n_layer / 10,
        seeds=2,
        tokenizer=["char", "byte", "word"],
        n_layer=[1, 2, 3],
    )
    found = {score.name: score for score in scores(trials)}
    groups = [[t.metrics.final_loss for t in trials if t.settings.tokenizer == name] for name in by_tokenizer]
    f, p = scipy.stats.f_oneway(*groups)
    assert (found["tokenizer"].f, found["tokenizer"].p) == (pytest.approx(f), pytest.approx(p))
    assert found["tokenizer"].pearson is None
    assert found["n_layer"].pearson > 0


def test_permutation_finds_the_shares_of_an_additive_loss() -> None:
    def loss(trial: Trial) -> float:
        return trial.n_layer + 2 * math.log2(trial.batch_size) + 0 * trial.learning_rate

    trials = trials_of(
        loss,
        n_layer=[1, 2, 3, 4],
        batch_size=[8, 16, 32, 64],
        learning_rate=[1e-4, 1e-3, 1e-2],
        block_size=[16, 32, 64],
    )
    found = permutation(trials)
    bars = {bar.name: bar for bar in found.bars}
    # Shuffling a column of an additive target adds twice that column's share of the variance: here 4/5 and 1/5.
    assert bars["batch_size"].value == pytest.approx(1.6, abs=0.15)
    assert bars["n_layer"].value == pytest.approx(0.4, abs=0.08)
    assert abs(bars["learning_rate"].value) < 0.02
    assert bars["batch_size"].low < bars["batch_size"].value < bars["batch_size"].high
    assert found.fit == pytest.approx(1, abs=0.02)
    assert found == permutation(trials)  # seeded


def test_permutation_shuffles_linked_hyperparameters_together(original: StudyFolder) -> None:
    found = permutation(read_journal(original.journal).phases["phase2"].current(), repeats=3)
    assert {bar.name for bar in found.bars} == {
        "learning_rate",
        "n_head + n_embd",
        "block_size",
        "batch_size",
        "n_layer",
    }
    assert found.fit > 0.9


def least_squares_rest(frame: pd.DataFrame, terms: list[list[str]]) -> float:
    """Return the residual sum of squares of a linear model with these terms as dummies."""
    blocks = [np.ones((len(frame), 1))]
    for term in terms:
        labels = frame[term].astype(str).agg("|".join, axis=1)
        blocks.append(pd.get_dummies(labels).to_numpy(float))
    x = np.hstack(blocks)
    y = frame["y"].to_numpy()
    return float(((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum())


def test_the_anova_equals_least_squares(original: StudyFolder, seed_study: Path) -> None:
    table = pd.read_csv(seed_study / "phase2" / "output.csv")
    table = table[table["Layers"] != 6].rename(columns={"final_loss": "y"})  # four of those are missing
    found = anova(read_journal(original.journal).phases["phase2"].current())
    assert (found.cells, found.trials) == (len(table), 320) == (216, 320)
    effects = {effect.name: effect for effect in found.effects}
    factors = {
        "learning_rate": "LR",
        "n_head + n_embd": "Embeddings",
        "block_size": "Block Size",
        "batch_size": "Batch Size",
        "n_layer": "Layers",
    }
    total = least_squares_rest(table, [])
    for name, column in factors.items():
        assert effects[name].sum_of_squares == pytest.approx(total - least_squares_rest(table, [[column]]))
        assert effects[name].freedom == table[column].nunique() - 1
    for (first, a), (second, b) in itertools.combinations(factors.items(), 2):
        alone, together = least_squares_rest(table, [[a], [b]]), least_squares_rest(table, [[a, b]])
        assert effects[f"{first} x {second}"].sum_of_squares == pytest.approx(alone - together, abs=1e-9)
    pairs = [[a, b] for a, b in itertools.combinations(factors.values(), 2)]
    assert found.rest == pytest.approx(least_squares_rest(table, pairs) / total, abs=1e-9)
    assert sum(effect.share for effect in found.effects) + found.rest == pytest.approx(1)
    assert any("216 of 320 settings: without n_layer 6" in note for note in found.notes)


def test_the_anova_takes_seeds_as_one_cell() -> None:
    found = anova(trials_of(lambda t: t.n_layer + t.seed, seeds=3, n_layer=[1, 2, 3, 4], batch_size=[8, 16]))
    assert found.cells == 8
    assert found.effects[0].name == "n_layer"
    assert found.effects[0].share == pytest.approx(1)


def test_linked_hyperparameters_are_one_factor() -> None:
    trials = trials_of(lambda t: 1.0 / t.n_layer, n_layer=[1, 2, 3], learning_rate=[1e-4, 1e-3, 1e-2, 1e-1])
    found = design(trials)
    assert [factor.name for factor in found.factors] == ["learning_rate", "n_layer"]
    assert found.notes == ()


@pytest.mark.parametrize("function", [forest, permutation, scores, anova])
def test_too_little_data_is_an_error(function) -> None:
    with pytest.raises(InputError, match="not enough data"):
        function(trials_of(lambda t: 1.0, n_layer=[1, 2, 3]))
    with pytest.raises(InputError, match="not enough data"):
        function(trials_of(lambda t: 1.0, seeds=10, n_layer=[1]))


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'val_loss'"):
        design([], "vall_loss")


def test_the_command_prints_importance(made: StudyFolder, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["importance", str(made.path), "--phase", "phase1", "--json", "--target", "best_val_loss"]) == 0
    import json

    printed = json.loads(capsys.readouterr().out)
    assert printed["forest"]["bars"][0]["name"] == "learning_rate"
    assert printed["anova"]["effects"][0]["factors"] == ["learning_rate"]
    assert main(["importance", str(made.path), "--phase", "phase1", "--target", "seconds"]) in (0, 2)
    assert main(["importance", str(made.path), "--target", "best_val_loss"]) == 0
    output = capsys.readouterr()
    assert "n_head + n_embd: they vary together" in output.out + output.err
    assert "█" in output.out
    assert "…" not in output.out


def test_two_metrics_get_two_analyses_of_variance(original: StudyFolder, capsys) -> None:
    command = ["importance", str(original.path), "--phase", "phase1", "--target", "loss and time"]
    assert main(command) == 0
    out = capsys.readouterr().out
    loss, time = out.partition("exact: final_loss")[2].split("exact: seconds")
    assert "52.7%" in loss
    assert "44.8%" in time


def test_a_factor_that_matters_to_the_forest_alone_is_named(original: StudyFolder) -> None:
    """A few trials of the original hung, so that its forest finds an effect of the learning rate on the time."""
    trials = list(read_journal(original.journal).trials())
    results = (forest(trials, "seconds"), permutation(trials, "seconds"), anova(trials, "seconds"))
    (sentence,) = disagreements(*results)
    assert sentence.startswith("learning_rate: the forest gives it ")
    assert "seconds" in sentence
    assert any("median time" in note for note in results[0].notes)
    losses = (forest(trials, "final_loss"), permutation(trials, "final_loss"), anova(trials, "final_loss"))
    assert disagreements(*losses) == ()


def test_values_are_compared_in_a_table(made: StudyFolder, capsys) -> None:
    assert main(["importance", str(made.path), "--phase", "phase1", "--target", "seconds", "--values"]) == 0
    assert "seconds by n_layer" in capsys.readouterr().out
