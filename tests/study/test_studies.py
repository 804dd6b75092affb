"""The studies that come with the project, and the original study's own results."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from litegpt.estimate.cost import total_cost
from litegpt.estimate.outline import outline
from litegpt.study.expand import expand
from litegpt.study.study import Study, read_study
from litegpt.study.trial import Trial

ROOT = Path(__file__).parents[2]
VOCABULARY = 86  # the original's corpus


@pytest.fixture
def four_phases() -> Study:
    return read_study(ROOT / "studies" / "four_phases.toml")


def test_the_original_study(four_phases: Study) -> None:
    phases = {phase.name: phase for phase in outline(four_phases, VOCABULARY).phases}
    assert [(phase.trials, phase.trials_max, phase.max_iters) for phase in phases.values()] == [
        (1316, 1316, 500),
        (None, 1316, 1500),
        (45, 45, 5000),
        (None, 8, 10000),
    ]
    first, third = phases["phase1"], phases["phase3"]
    assert first.excluded == 7
    assert first.cost is not None
    assert third.cost is not None
    assert (first.cost.parameters_min, first.cost.parameters_max) == (112_854, 42_745_430)
    assert (third.cost.parameters_min, third.cost.parameters_max) == (12_725_334, 42_745_430)
    assert first.cost.flops == pytest.approx(1.06e17, rel=0.01)
    assert third.cost.flops == pytest.approx(1.71e17, rel=0.01)


def test_the_small_models() -> None:
    study = read_study(ROOT / "studies" / "small_models.toml")
    phases = outline(study, VOCABULARY).phases
    assert [(phase.trials, phase.max_iters) for phase in phases] == [(49, 20_000), (12, 30_000)]
    second = phases[1].candidates
    assert {trial.n_embd for trial in second} == {768, 1024}
    assert {trial.learning_rate for trial in second} == {6e-4, 3e-4, 2.5e-4, 2e-4, 1.6e-4, 1e-4}


@pytest.mark.parametrize("name", ["four_phases", "small_models"])
def test_the_original_studies_train_the_models_of_the_original(name: str) -> None:
    study = read_study(ROOT / "studies" / f"{name}.toml")
    for bound in study.bounds.values():
        assert bound.candidates is not None
        assert {(trial.attention_scale, trial.initialisation) for trial in bound.candidates.trials} == {
            ("width", "torch")
        }


def test_the_fifty_best_span_the_original_second_phase(four_phases: Study, seed_study: Path) -> None:
    with (seed_study / "phase1" / "output.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["final_loss"]))
    first = expand(four_phases.phase("phase1"))
    assert first is not None
    assert set(map(key_of_row, rows)) == set(map(key_of, first.trials))
    trials = {key_of(trial): trial for trial in first.trials}
    second = expand(four_phases.phase("phase2"), [trials[key_of_row(row)] for row in rows])
    assert second is not None
    with (seed_study / "phase2" / "output.csv").open(encoding="utf-8", newline="") as file:
        ran = {key_of_row(row) for row in csv.DictReader(file)}
    assert (len(second.trials), len(second.excluded)) == (320, 4)
    assert set(map(key_of, second.trials)) == ran
    assert second.axes["learning_rate"] == (6e-4, 3e-4, 2.5e-4, 1.6e-4)
    assert second.axes["n_embd"] == (384, 512, 768)
    assert {trial.max_iters for trial in second.trials} == {1500}
    cost = total_cost(second.trials, VOCABULARY)
    assert cost is not None
    assert cost.flops == pytest.approx(1.59e17, rel=0.01)


def key_of(trial: Trial) -> tuple[float, ...]:
    return (trial.learning_rate, trial.n_head, trial.n_embd, trial.block_size, trial.batch_size, trial.n_layer)


def key_of_row(row: dict[str, str]) -> tuple[float, ...]:
    return tuple(float(row[name]) for name in ("LR", "Heads", "Embeddings", "Block Size", "Batch Size", "Layers"))


def test_planning_loads_nothing_heavy() -> None:
    code = (
        "import sys, litegpt.cli.plan\n"
        "print({'torch', 'pandas', 'numpy', 'tomlkit', 'tomli_w'} & sys.modules.keys() or '')"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == ""
