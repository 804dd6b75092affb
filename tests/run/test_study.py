"""A small study from start to end, in real processes, and the files that it leaves."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from safetensors import safe_open

from litegpt.cli.main import main
from litegpt.cli.run import main as run_main
from litegpt.study.study import read_study
from tests.run.study_files import NewStudy, StudyFiles

FirstRun = subprocess.CompletedProcess[str]

PHASES = """
[[phase]]
name = "wide"
max_iters = 40
[phase.grid]
learning_rate = [1e-3, 1e-2]
n_embd = [16, 32]
[[phase.exclude]]
learning_rate = 1e-3
n_embd = 32
[[phase.trial]]
learning_rate = 1e6
n_embd = 16

[[phase]]
name = "narrow"
max_iters = 60
[phase.promote]
from = "wide"
top = 2

[[phase]]
name = "exact"
max_iters = 50
[phase.promote]
from = "narrow"
top = 1
how = "exact"
start = "checkpoint"

[[phase]]
name = "again"
max_iters = 60
[[phase.trial]]
learning_rate = 1e-2
n_embd = 16
[[phase.trial]]
learning_rate = 1e-2
n_embd = 24
"""


@pytest.fixture(scope="module")
def study(new_study: NewStudy) -> StudyFiles:
    return new_study(PHASES)


@pytest.fixture(scope="module")
def first_run(study: StudyFiles) -> FirstRun:
    """The study's first run."""
    return study.run()


def test_every_permutation_ends_once(study: StudyFiles, first_run: FirstRun) -> None:
    study.assert_complete()
    states = {phase: [] for phase in ("wide", "narrow", "exact", "again")}
    for (phase, _), ended in study.endings().items():
        states[phase].append(ended["state"])
    assert {phase: sorted(found) for phase, found in states.items()} == {
        "wide": ["diverged", "done", "done", "done"],
        "narrow": ["done", "done"],
        "exact": ["done"],
        "again": ["done", "done"],
    }


def test_a_diverged_trial_stops_no_other_and_sets_the_exit_code(study: StudyFiles, first_run: FirstRun) -> None:
    assert first_run.returncode == 1
    assert "Traceback" not in first_run.stderr
    (diverged,) = [ended for ended in study.endings().values() if ended["state"] == "diverged"]
    assert study.settings("wide")[diverged["trial"]]["learning_rate"] == 1e6
    assert diverged["val_loss"] is None
    assert "finite" in diverged["reason"]
    last = study.metrics("wide", diverged["trial"])[-1]
    assert (last["val_loss"], last["state"]) == (None, "diverged")
    assert b"NaN" not in (study.results / "wide" / diverged["trial"] / "metrics.jsonl").read_bytes()


def test_json_on_stdout_is_one_object(study: StudyFiles, first_run: FirstRun) -> None:
    message = json.loads(first_run.stdout)
    assert (message["study"], message["done"], message["diverged"], message["failed"]) == ("tiny", 8, 1, 0)
    assert Path(message["results"]) == study.results


def test_progress_on_a_pipe_is_plain_lines(first_run: FirstRun) -> None:
    assert "\x1b" not in first_run.stderr
    lines = first_run.stderr.splitlines()
    assert any(line.startswith("wide: 4/4 trials, 1 diverged, best validation loss ") for line in lines)
    assert any(line.startswith("again: 2/2 trials") for line in lines)


def test_the_journal_records_opening_start_and_end(study: StudyFiles, first_run: FirstRun) -> None:
    events = study.events()
    assert {key: events[0][key] for key in ("event", "format", "study")} == {
        "event": "study_opened",
        "format": 1,
        "study": "tiny",
    }
    (started,) = study.events("study_started")
    assert started["host"] == socket.gethostname()
    assert started["corpus"]["path"] == "tiny.txt"
    assert started["corpus"]["characters"] == len(study.corpus.read_text(encoding="utf-8"))
    assert started["versions"].keys() - {"commit"} == {"litegpt", "python", "torch"}
    assert events[-1]["event"] == "study_ended"
    assert events[-1]["seconds"] > 0
    phases = [record["phase"] for record in study.events("phase_ended")]
    assert phases == ["wide", "narrow", "exact", "again"]


def test_exclusions_are_counted_with_their_reason(study: StudyFiles, first_run: FirstRun) -> None:
    (planned,) = study.events("phase_planned", "wide")
    (exclusion,) = planned["excluded"]
    assert exclusion["settings"] == {"learning_rate": 1e-3, "n_embd": 32}
    assert "excluded" in exclusion["reason"]
    assert study.events("phase_ended", "wide")[0]["excluded"] == 1


def test_a_narrow_promotion_spans_the_values_of_the_best(study: StudyFiles, first_run: FirstRun) -> None:
    best = sorted(
        (ended for (phase, _), ended in study.endings().items() if phase == "wide" and ended["state"] == "done"),
        key=lambda ended: ended["best_val_loss"],
    )[:2]
    (planned,) = study.events("phase_planned", "narrow")
    assert planned["promotion"]["promoted"] == [ended["trial"] for ended in best]
    settings = [study.settings("wide")[ended["trial"]] for ended in best]
    axes = [
        (rate, width) for rate in {s["learning_rate"] for s in settings} for width in {s["n_embd"] for s in settings}
    ]
    promoted = [(s["learning_rate"], s["n_embd"]) for s in study.settings("narrow").values()]
    assert sorted(promoted) == sorted(axes)
    assert {s["max_iters"] for s in study.settings("narrow").values()} == {60}


def test_an_exact_promotion_starts_from_the_best_weights(study: StudyFiles, first_run: FirstRun) -> None:
    narrow = [ended for (phase, _), ended in study.endings().items() if phase == "narrow"]
    best = min(narrow, key=lambda ended: ended["best_val_loss"])
    ((trial, settings),) = study.settings("exact").items()
    assert settings["start_from"] == f"narrow/{best['trial']}"
    first = study.metrics("exact", trial)[0]
    assert first["step"] == 0
    assert first["val_loss"] == pytest.approx(best["best_val_loss"], abs=1e-6)
    assert study.events("phase_planned", "exact")[0]["promotion"]["start"] == "checkpoint"


def test_a_setting_of_two_phases_is_trained_once(study: StudyFiles, first_run: FirstRun) -> None:
    shared = study.settings("narrow").keys() & study.settings("again").keys()
    assert len(shared) == 1
    (trial,) = shared
    started = [record["phase"] for record in study.events("trial_started") if record["trial"] == trial]
    assert started == ["narrow"]
    copy = study.endings()["again", trial]
    original = study.endings()["narrow", trial]
    assert "narrow" in copy["reason"]
    assert [copy[key] for key in ("val_loss", "best_val_loss", "final_loss", "step", "seconds")] == [
        original[key] for key in ("val_loss", "best_val_loss", "final_loss", "step", "seconds")
    ]
    assert study.metrics("again", trial) == study.metrics("narrow", trial)
    assert (study.results / "again" / trial / "best.safetensors").is_file()


def test_the_records_of_a_trial_have_their_keys(study: StudyFiles, first_run: FirstRun) -> None:
    for phase, trial in study.endings():
        for record in study.metrics(phase, trial):
            assert record.keys() - {"state", "format"} == {
                *("step", "train_loss", "val_loss", "final_loss", "bits_per_char", "seconds", "tokens_per_second"),
                *("learning_rate", "loss_scale", "skipped_steps", "pack_width", "attempt", "time"),
            }
        started = [r for r in study.events("trial_started", phase) if r["trial"] == trial]
        for record in started:
            assert record.keys() == {
                *("event", "time", "phase", "trial", "attempt", "worker", "device", "precision", "pack", "pack_width"),
            }
            assert (record["attempt"], record["device"], record["precision"]) == (1, "cpu", "fp32")


def test_the_end_of_a_trial_records_its_metrics(study: StudyFiles, first_run: FirstRun) -> None:
    for (phase, trial), ended in study.endings().items():
        if ended["state"] != "done":
            continue
        metrics = study.metrics(phase, trial)
        last = metrics[-1]
        for key in ("step", "train_loss", "val_loss", "final_loss"):
            assert ended[key] == last[key]
        best = min(metrics, key=lambda record: record["val_loss"])
        assert (ended["best_val_loss"], ended["best_val_step"]) == (best["val_loss"], best["step"])


def test_each_trial_leaves_its_files(study: StudyFiles, first_run: FirstRun) -> None:
    for (phase, trial), ended in study.endings().items():
        folder = study.results / phase / trial
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        assert state["trial"] == study.settings(phase)[trial]
        assert not (folder / "checkpoint.safetensors").exists(), "an ended trial never resumes"
        assert not list(folder.glob("*.tmp"))
        if ended["state"] == "done":
            with safe_open(folder / "best.safetensors", framework="np") as file:
                assert json.loads(file.metadata()["state"])["trial"] == state["trial"]
            assert state["progress"]["step"] == ended["step"]
            samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
            assert {ended["step"], ended["best_val_step"]} == {sample["step"] for sample in samples}
            assert all(sample["text"] and sample["prompt"] for sample in samples)
            assert samples[0].keys() >= {"step", "loss", "prompt", "temperature", "seed"}
            for sample in samples:
                assert sample["copied"].keys() == {"share", "longest", "validation_share", "validation_longest"}


def test_pack_time_is_in_the_journal(study: StudyFiles, first_run: FirstRun) -> None:
    packs = study.events("pack_ended")
    assert sorted(trial for pack in packs for trial in pack["trials"]) == sorted(
        record["trial"] for record in study.events("trial_started")
    )
    assert all(pack["wall_seconds"] > 0 for pack in packs)


def test_the_snapshot_is_a_study_that_can_be_read(study: StudyFiles, first_run: FirstRun) -> None:
    snapshot = read_study(study.results / "study.toml")
    assert snapshot.name == "tiny"
    assert [phase.name for phase in snapshot.phases] == ["wide", "narrow", "exact", "again"]


@pytest.mark.parametrize("bits", [8, 4])
def test_the_loss_of_quantized_weights(
    study: StudyFiles, first_run: FirstRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], bits: int
) -> None:
    shutil.copytree(study.results, tmp_path / "tiny")
    (_, trial), ended = next(item for item in study.endings().items() if item[0][0] == "exact")
    assert main(["quantize", str(tmp_path / "tiny" / "exact" / trial), "--bits", str(bits), "--json"]) == 0
    original, fewer = json.loads(capsys.readouterr().out)
    assert original["val_loss"] == pytest.approx(ended["best_val_loss"], abs=1e-6)
    assert fewer["val_loss"] == pytest.approx(original["val_loss"], abs=0.002 if bits == 8 else 0.1)
    assert fewer["val_loss"] != original["val_loss"]
    assert fewer["size"] < original["size"]


def test_nothing_is_left_running(study: StudyFiles, first_run: FirstRun) -> None:
    assert 1 <= len(study.worker_pids()) <= 8
    study.assert_nothing_runs()


def test_a_finished_study_has_nothing_to_do(study: StudyFiles, first_run: FirstRun) -> None:
    before = study.journal.read_bytes()
    again = study.run()
    assert again.returncode == 1, "as before: a trial has diverged"
    assert "Nothing to do" in again.stderr
    assert json.loads(again.stdout) == json.loads(first_run.stdout)
    assert study.journal.read_bytes() == before


def test_another_corpus_is_refused(study: StudyFiles, first_run: FirstRun) -> None:
    text, before = study.corpus.read_text(encoding="utf-8"), study.journal.read_bytes()
    study.corpus.write_text(text.replace("cat", "cow", 1), encoding="utf-8")
    try:
        refused = study.run()
    finally:
        study.corpus.write_text(text, encoding="utf-8")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "corpus" in refused.stderr
    assert study.journal.read_bytes() == before


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("split = 'blocks'", "split is blocks, it was last when these results were trained"),
        ("validation_fraction = 0.2", "validation_fraction is 0.2, it was 0.1 when these results were trained"),
    ],
)
def test_another_split_is_refused(
    study: StudyFiles, first_run: FirstRun, capsys: pytest.CaptureFixture[str], key: str, message: str
) -> None:
    before = study.journal.read_bytes()
    edited = study.file.with_name("edited.toml")
    edited.write_text(study.file.read_text(encoding="utf-8").replace("\n\n", f"\n{key}\n\n", 1), encoding="utf-8")
    assert run_main([str(edited), "--results", str(study.results.parent), "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert study.journal.read_bytes() == before


def test_a_study_that_has_grown_runs_only_its_new_trials(study: StudyFiles, first_run: FirstRun) -> None:
    before, text = study.endings(), study.file.read_text(encoding="utf-8")
    study.file.write_text(text.replace("n_embd = 24\n", "n_embd = 24\n[[phase.trial]]\nn_embd = 8\n"), encoding="utf-8")
    try:
        grown = study.run("--phase", "again")
    finally:
        study.file.write_text(text, encoding="utf-8")
    assert grown.returncode == 1
    assert study.endings().keys() - before.keys() == {("again", list(study.settings("again"))[-1])}
    assert len(study.events("trial_started")) == len({*before}) - 1 + 1
