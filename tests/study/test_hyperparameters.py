"""The metadata of the hyperparameters, and that everything else derives from it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from litegpt.study.hyperparameter import COUNT, FRACTION, POSITIVE, Range
from litegpt.study.trial import HYPERPARAMETERS, Trial

PACKAGE = Path(__file__).parents[2] / "litegpt"
SEED = "    seed: Annotated["
ADDED = """\
    label_smoothing: Annotated[float, Hyperparameter("share of other tokens", "trial", FRACTION, short="smooth")] = 0.0
    window: Annotated[int, Hyperparameter("tokens that attention reaches back", "step", COUNT, short="reach")] = 0
"""
STUDY = """\
[study]
corpus = "text.txt"
[defaults]
n_layer = 2
n_head = 2
n_embd = 64
block_size = 32
batch_size = 16
max_iters = 10
[[phase]]
name = "a"
[phase.grid]
learning_rate = [1e-3]
label_smoothing = [0.0, 0.1]
window = [0, 16]
"""
USED = """
import sys
from pathlib import Path
from litegpt.analysis.query import parse_query
from litegpt.analysis.leaderboard import leaderboard, varying
from litegpt.errors import InputError
from litegpt.estimate.device import device_profile
from litegpt.estimate.memory import memory_key
from litegpt.estimate.packs import pack_trials
from litegpt.results.fields import trial as read_trial
from litegpt.results.state import TrialState
from litegpt.results.tuning import SPEED_KEY
from litegpt.study.snapshot import snapshot
from litegpt.study.edit.typed import typed_axis
from litegpt.study.study import parse_study

text = sys.stdin.read()
study = parse_study(text, Path("study.toml"))
trials = study.bounds["a"].candidates.trials
print(len(trials), trials[0].id)
print([len(pack) for pack in pack_trials(trials, 64)])
print(len({memory_key(trial) for trial in trials}), "window" in SPEED_KEY, "label_smoothing" in SPEED_KEY)
print(read_trial(trials[3].settings()) == trials[3])
print(typed_axis("label_smoothing", "0.1, 0.2"))
print("label_smoothing = [" in snapshot(study, {}))
print([parse_query("smooth:0.1 reach>0").holds(trial.settings()) for trial in trials])
rows = leaderboard([TrialState("a", trial.id, trial) for trial in trials])
print(varying(rows))
try:
    parse_study(text.replace("0.1]", "1.5]"), Path("study.toml"))
except InputError as error:
    print(error)
"""


def test_a_hyperparameter_is_added_by_its_declaration_alone(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "litegpt", ignore=shutil.ignore_patterns("__pycache__"))
    module = tmp_path / "litegpt" / "study" / "trial.py"
    module.write_text(module.read_text().replace(SEED, ADDED + SEED))
    command = [sys.executable, "-P", "-c", USED]
    # The copy comes first on the path, whether or not an earlier test has protected the environment of this process.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    used = subprocess.run(command, input=STUDY, env=environment, capture_output=True, text=True, check=False)
    assert used.stdout.splitlines() == [
        f"4 {Trial(2, 2, 64, 32, 16, 1e-3, 10).id}",
        "[2, 2]",
        "2 True False",
        "True",
        "('0.1', '0.2')",
        "True",
        "[False, False, False, True]",
        "('label_smoothing', 'window')",
        "study.toml:14: label_smoothing must be at least 0 and less than 1, not 1.5",
    ], used.stderr


def test_every_field_of_a_trial_is_declared() -> None:
    assert [*HYPERPARAMETERS, "start_from"] == [field.name for field in dataclasses.fields(Trial)]
    for hyperparameter in HYPERPARAMETERS.values():
        assert hyperparameter.kind in (int, float, bool, str)
        assert (hyperparameter.kind is str) == bool(hyperparameter.choices)
        assert hyperparameter.is_number == (hyperparameter.range != Range())


def test_no_two_hyperparameters_have_the_same_short_name() -> None:
    names = [hyperparameter.alias for hyperparameter in HYPERPARAMETERS.values()]
    assert len(set(names) | HYPERPARAMETERS.keys()) == len({*names, *HYPERPARAMETERS})
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (COUNT, 0, -1, "between 0 and 2147483647"),
        (FRACTION, 0.5, 1, "at least 0 and less than 1"),
        (POSITIVE, 1e-9, 0, "more than 0"),
    ],
)
def test_a_range_says_what_it_contains(allowed: Range, inside: float, outside: float, words: str) -> None:
    assert inside in allowed
    assert outside not in allowed
    assert str(allowed) == words


def test_help_has_a_form_without_marks() -> None:
    assert HYPERPARAMETERS["norm"].plain_help == "layer, or rms (root mean square, no bias)"
