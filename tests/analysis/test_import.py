from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from litegpt.analysis.imported import ImportedPhase, ImportedTrial, imported_vocab_size, write_study
from litegpt.analysis.mapped import read_mapping, read_table
from litegpt.analysis.original import read_folder
from litegpt.analysis.study_file import write_study_file
from litegpt.cli.main import main
from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metrics import read_metrics
from litegpt.results.samples import read_samples
from litegpt.study.study import Study, read_study
from litegpt.study.trial import Trial

BLOCK = """BEGINNING (1681949651.01): Baseline LR({lr}) Heads(1) Embeddings(64) Block Size(32) Batch Size(32) Layers(2)
torch.Size([1024, 86])
tensor(4.6173, device='cuda:0', grad_fn=<NllLossBackward0>)
step 0: train loss 4.6367, val loss 4.6515 [0.5 sec]
step 100: train loss 2.3377, val loss 2.4433 [1.5 sec]
step 200: train loss 2.0558, val loss 2.2115 [2.5 sec]
1.9401
Total Training Time: 3.5 seconds

He said \u2013 {lr}\x20
BEGINNING of a line
"""


def log(folder: Path, text: str, encoding: str = "cp1252") -> Path:
    folder.mkdir()
    (folder / "output.txt").write_bytes(text.encode(encoding))
    return folder


def test_a_log_is_imported(tmp_path: Path) -> None:
    phase = read_folder(log(tmp_path / "p", BLOCK.format(lr=0.001) + BLOCK.format(lr=0.0006)))
    assert (phase.name, phase.damages, phase.vocab_size) == ("p", (), 86)
    first = phase.trials[0]
    assert first.settings.max_iters == 300
    assert (first.settings.eval_interval, first.settings.learning_rate, first.settings.n_embd) == (100, 0.001, 64)
    assert [(e.step, e.train_loss, e.val_loss, e.seconds) for e in first.evaluations][1] == (100, 2.3377, 2.4433, 1.5)
    assert (first.final_loss, first.seconds) == (1.9401, 3.5)
    assert first.text == "He said \u2013 0.001\nBEGINNING of a line"


def test_line_breaks_at_the_ends_of_a_text_are_kept(tmp_path: Path) -> None:
    block = BLOCK.format(lr=1).replace("He said", "\nHe said").replace("of a line\n", "of a line\n\n")
    phase = read_folder(log(tmp_path / "p", block + block.replace("LR(1)", "LR(2)")))
    assert [trial.text for trial in phase.trials] == ["\nHe said \u2013 1\nBEGINNING of a line\n"] * 2


def test_the_journal_of_an_import_has_bits_per_character(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "s")
    write_study(folder, [read_folder(log(tmp_path / "p", BLOCK.format(lr=1)))], ["p"])
    (record,) = [
        record
        for line in folder.journal.read_text(encoding="utf-8").splitlines()
        if (record := json.loads(line))["event"] == "trial_ended"
    ]
    assert record["best_bits_per_char"] == pytest.approx(record["best_val_loss"] / math.log(2))
    assert record["bits_per_char"] == pytest.approx(record["val_loss"] / math.log(2))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.split("1.9401")[0], "it ends before its final loss"),
        (lambda text: text.replace("step 100: train", "step 10"), "is damaged"),
        (
            lambda text: text.replace("step 100: train loss 2.3377, val loss 2.4433 [1.5 sec]\n", ""),
            "has 2 evaluations, the others 3",
        ),
        (lambda text: text.replace("step 200: train loss 2.0558, val loss 2.2115 [2.5 sec]\n", ""), "the others 3"),
        (lambda text: text.replace("Heads(1)", "He"), "its header is damaged"),
        (lambda text: "\n".join(text.split("\n")[1:]), "header is missing"),
    ],
)
def test_a_damaged_trial_is_listed_and_the_others_imported(tmp_path: Path, damage, message: str) -> None:
    whole = [BLOCK.format(lr=rate) for rate in (1e-3, 6e-4, 2e-4)]
    phase = read_folder(log(tmp_path / "p", whole[0] + whole[1] + damage(whole[2])))
    assert [trial.settings.learning_rate for trial in phase.trials] == [1e-3, 6e-4]
    assert [trial.text.startswith("He said") for trial in phase.trials] == [True, True]
    assert len(phase.trials[1].evaluations) == 3
    assert len(phase.damages) == 1
    assert message in str(phase.damages[0])
    assert phase.damages[0].line is not None
    assert phase.damages[0].line > 20


def test_a_loss_that_is_not_a_number_means_diverged(tmp_path: Path) -> None:
    text = BLOCK.format(lr=1).replace("train loss 2.0558, val loss 2.2115", "train loss nan, val loss nan")
    path = log(tmp_path / "p", text.replace("1.9401", "nan"))
    assert main(["import", str(path), "--study", "s", "--results", str(tmp_path / "r")]) == 0
    folder = StudyFolder(tmp_path / "r", "s")
    (trial,) = read_journal(folder.journal).trials()
    assert (trial.state, trial.metrics.final_loss, trial.metrics.best_val_loss) == ("diverged", None, 2.4433)
    assert "NaN" not in folder.trial("p", trial.id).metrics.read_text(encoding="utf-8")


def test_a_folder_without_a_complete_trial_writes_nothing(tmp_path: Path, capsys) -> None:
    good, bad = log(tmp_path / "a", BLOCK.format(lr=1)), log(tmp_path / "b", BLOCK.format(lr=1)[:200])
    assert main(["import", str(good), str(bad), "--study", "s", "--results", str(tmp_path / "r")]) == 2
    assert "no complete trial for the phase 'b'" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_phase_is_imported_once(tmp_path: Path, capsys) -> None:
    command = ["import", str(log(tmp_path / "a", BLOCK.format(lr=1))), "--study", "s", "--results", str(tmp_path / "r")]
    assert main(command) == 0
    before = (tmp_path / "r/s/journal.jsonl").read_bytes()
    assert main(command) == 2
    assert "has the phase 'a' already" in capsys.readouterr().err
    assert (tmp_path / "r/s/journal.jsonl").read_bytes() == before


def test_the_original_has_the_trials_of_four_phases(original: StudyFolder) -> None:
    phases = read_journal(original.journal).phases
    study = read_study(Path(__file__).parents[2] / "studies" / "four_phases.toml")
    candidates = study.bounds["phase1"].candidates
    assert candidates is not None
    assert set(phases["phase1"].trials) == {trial.id for trial in candidates.trials}
    assert [len(phase.trials) for phase in phases.values()] == [1316, 320]
    assert imported_vocab_size(original.journal) == 86


def test_the_original_study_file_is_reconstructed(original: StudyFolder, seed_study: Path, tmp_path: Path) -> None:
    phases = [read_folder(seed_study / name) for name in ("phase1", "phase2")]
    folder = StudyFolder(tmp_path, "four-phases")
    folder.path.mkdir()
    write_study_file(folder, phases, ["a", "b"])
    study = read_study(folder.snapshot)
    published = read_study(Path(__file__).parents[2] / "studies" / "four_phases.toml").phase("phase1")
    phase = study.phase("phase1")
    assert {name: set(values) for name, values in phase.axes.items()} == {
        name: set(values) for name, values in published.axes.items()
    }
    assert (phase.excludes, phase.fixed["n_head"]) == (published.excludes, published.rules["n_head"])
    for imported in phases:
        assert planned(study, imported.name) == {trial.settings for trial in imported.trials}


def planned(study: Study, phase: str) -> set[Trial]:
    candidates = study.bounds[phase].candidates
    assert candidates is not None
    return set(candidates.trials)


def imported_phase(name: str, *points: tuple[int, int, float]) -> ImportedPhase:
    base = {"n_head": 1, "block_size": 8, "batch_size": 4, "max_iters": 100}
    trials = (Trial(n_layer=layers, n_embd=width, learning_rate=rate, **base) for layers, width, rate in points)
    return ImportedPhase(name, tuple(ImportedTrial(trial, (), 1.0, 1.0, "") for trial in trials), ())


GRID = [(layers, width, rate) for layers in (1, 2) for width in (8, 16, 32) for rate in (1e-2, 1e-3)]


@pytest.mark.parametrize(
    ("points", "excludes", "listed"),
    [
        (GRID, [], 0),
        (GRID[:1], [], 0),
        ([p for p in GRID if p[:2] != (2, 32)], [{"n_layer": 2, "n_embd": 32}], 0),
        (GRID[1:], [{"n_layer": 1, "n_embd": 8, "learning_rate": 1e-2}], 0),
        ([(1, 8, 1e-2), (2, 16, 1e-3), (3, 32, 1e-4)], [], 3),
    ],
)
def test_a_phase_is_a_grid_with_exclusions_or_a_list(tmp_path: Path, points, excludes, listed: int) -> None:
    folder = StudyFolder(tmp_path, "s")
    folder.path.mkdir()
    phase = imported_phase("p", *points)
    write_study_file(folder, [phase], ["from\na = 1"])
    study = read_study(folder.snapshot)
    assert planned(study, "p") == {trial.settings for trial in phase.trials}
    assert [dict(exclude) for exclude in study.phase("p").excludes] == excludes
    assert len(study.phase("p").listed) == listed


def test_phases_are_added_to_an_existing_study_file(tmp_path: Path, capsys) -> None:
    command = ["--study", "s", "--results", str(tmp_path / "r")]
    first, second, third = (log(tmp_path / name, BLOCK.format(lr=1)) for name in ("a", "b", "c"))
    file = tmp_path / "r/s/study.toml"
    assert main(["import", str(first), *command]) == 0
    promote = ["promote", str(file), "--from", "a", "--top", "1", "--how", "exact", "--name", "c", *command[2:]]
    assert main(promote) == 0
    text = file.read_text()
    assert main(["import", str(second), *command]) == 0
    assert file.read_text().startswith(text)
    assert [phase.name for phase in read_study(file).phases] == ["a", "c", "b"]
    text = file.read_text()
    capsys.readouterr()
    assert main(["import", str(third), *command]) == 0
    assert "the study has a phase 'c' already" in capsys.readouterr().err
    assert file.read_text() == text
    assert list(read_journal(tmp_path / "r/s/journal.jsonl").phases) == ["a", "b", "c"]


def test_copies_are_measured_with_the_text_in_the_study_file(tmp_path: Path, capsys) -> None:
    sample = "He said that one two three four five six seven eight nine"
    path = log(tmp_path / "a", BLOCK.format(lr=1).split("He said")[0] + sample + "\n")
    assert main(["import", str(path), "--study", "s", "--results", str(tmp_path / "r")]) == 0
    folder = StudyFolder(tmp_path / "r", "s")
    command = ["leaderboard", str(folder.path), "--copied", "--json"]
    capsys.readouterr()
    assert main(command) == 2
    assert "cannot be read" in capsys.readouterr().err
    (folder.path / "corpus.txt").write_text("one two three four five six seven eight nine ten " * 20)
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)[0]["copied"] == 0.75


@pytest.mark.parametrize(("name", "evaluations"), [("phase1", 5), ("phase2", 15)])
def test_the_numbers_of_the_original(original: StudyFolder, seed_study: Path, name: str, evaluations: int) -> None:
    table = pd.read_csv(seed_study / name / "output.csv")
    steps = pd.read_csv(seed_study / name / "output_steps.csv")
    keys = ["LR", "Heads", "Embeddings", "Block Size", "Batch Size", "Layers"]
    steps = steps.set_index(keys).sort_index()
    trials = {
        (s.learning_rate, s.n_head, s.n_embd, s.block_size, s.batch_size, s.n_layer): trial
        for trial in read_journal(original.journal).phases[name].trials.values()
        for s in [trial.settings]
    }
    assert len(trials) == len(table)
    for number, row in table.iterrows():
        trial = trials[tuple(row[keys])]
        assert (trial.metrics.final_loss, trial.metrics.seconds) == (row["final_loss"], row["total_training_time"])
        if number % 20:  # a twentieth of the trials' own files
            continue
        own = steps.loc[[tuple(row[keys])]]
        place = original.trial(name, trial.id)
        read = [(e.step, e.train_loss, e.val_loss, e.seconds) for e in read_metrics(place.metrics)]
        assert len(read) == evaluations
        assert read == list(own.itertuples(index=False, name=None))
        assert trial.metrics.best_val_loss == own["Validation Loss"].min()
        assert read_samples(place.samples)[0].text == row["Generated Text"].replace("\\n", "\n")


def without_blanks(phase: ImportedPhase) -> ImportedPhase:
    return replace(phase, trials=tuple(replace(trial, text=trial.text.lstrip(" ")) for trial in phase.trials))


def test_the_log_and_the_tables_give_the_same(seed_study: Path, tmp_path: Path) -> None:
    (tmp_path / "phase2").mkdir()
    (tmp_path / "phase2" / "output.txt").symlink_to(seed_study / "phase2" / "output.txt")
    from_log, from_tables = read_folder(tmp_path / "phase2"), read_folder(seed_study / "phase2")
    # The program that made the tables dropped blanks at the beginning of three texts.
    assert sum(a.text != b.text for a, b in zip(from_log.trials, from_tables.trials, strict=True)) == 3
    assert without_blanks(from_log) == without_blanks(from_tables)
    assert len(from_log.trials) == 320
    assert {len(trial.evaluations) for trial in from_log.trials} == {15}


def test_a_damaged_table_row_is_listed(seed_study: Path, tmp_path: Path) -> None:
    (tmp_path / "phase2").mkdir()
    for name in ("output.csv", "output_steps.csv"):
        lines = (seed_study / "phase2" / name).read_text(encoding="utf-8").splitlines(keepends=True)[:61]
        lines[31] = lines[31][:20] + "\n"
        (tmp_path / "phase2" / name).write_text("".join(lines), encoding="utf-8")
    phase = read_folder(tmp_path / "phase2")
    whole = [trial for trial in phase.trials if len(trial.evaluations) == 15]
    assert len(whole) == len(phase.trials) == 3  # 60 rows of 15 steps are four trials, and the third lost a row
    assert any("cells, the head has" in damage.message for damage in phase.damages)


MAPPING = """
[columns]
learning_rate = "lr"
n_embd = "width"
step = "it"
train_loss = "loss/train"
val_loss = "loss/val"
seconds = "t"
[fixed]
n_head = 4
n_layer = 2
block_size = 64
batch_size = 32
"""


def test_any_table_is_read_by_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAPPING)
    rows = ["lr,width,it,loss/train,loss/val,t,other"]
    rows += [f"{lr},64,{it},{4 - it / 100},{4.5 - it / 100},{it / 7},x" for it in (0, 100, 200) for lr in (1e-3, 3e-3)]
    (tmp_path / "mine.csv").write_text("\n".join([*rows, "oops,64,300,1,1,1,x"]))
    phase = read_table(tmp_path / "mine.csv", read_mapping(tmp_path / "map.toml"))
    assert [(t.settings.learning_rate, t.settings.max_iters, t.settings.n_head) for t in phase.trials] == [
        (1e-3, 200, 4),
        (3e-3, 200, 4),
    ]
    assert [e.val_loss for e in phase.trials[1].evaluations] == [4.5, 3.5, 2.5]
    assert [damage.message for damage in phase.damages] == ["learning_rate is 'oops', no float"]


def test_a_row_can_be_a_trial(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAPPING.replace('step = "it"', 'max_iters = "it"'))
    (tmp_path / "mine.csv").write_text("lr,width,it,loss/train,loss/val,t\n1e-3,64,500,1.5,1.7,9\n1e-3,64,500,1,1,1\n")
    phase = read_table(tmp_path / "mine.csv", read_mapping(tmp_path / "map.toml"))
    (trial,) = phase.trials
    assert (trial.settings.max_iters, trial.evaluations[0].step, trial.evaluations[0].val_loss) == (500, 500, 1.7)
    assert "repeats" in phase.damages[0].message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_head = 4", "", "n_head must be in"),
        ("n_head = 4", "n_heads = 4", "did you mean 'n_head'"),
        ("[fixed]", "[fix", "invalid TOML"),
    ],
)
def test_a_wrong_mapping_is_one_clear_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "map.toml").write_text(MAPPING.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_mapping(tmp_path / "map.toml")


def test_the_command_prints_json(tmp_path: Path, capsys) -> None:
    path = log(tmp_path / "a", BLOCK.format(lr=1) + BLOCK.format(lr=2).split("1.9401")[0])
    assert main(["import", str(path), "--study", "s", "--results", str(tmp_path / "r"), "--json"]) == 1
    output = capsys.readouterr()
    (phase,) = json.loads(output.out)["phases"]
    assert (phase["name"], phase["trials"], phase["evaluations"]) == ("a", 1, 3)
    assert "it ends before" in output.err


@pytest.mark.parametrize("text", ["", "no trial here\n", "\n\n"])
def test_a_log_without_a_trial_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    phase = read_folder(log(tmp_path / "p", text))
    assert phase.trials == ()
    assert len(phase.damages) == bool(text.strip())


def test_steps_that_do_not_advance_are_damage(tmp_path: Path) -> None:
    text = BLOCK.format(lr=0.001).replace("step 100", "step 0").replace("step 200", "step 0")
    phase = read_folder(log(tmp_path / "p", text))
    assert phase.trials == ()
    assert "lacks evaluations" in str(phase.damages[0])


def test_a_mapping_with_an_endless_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(f"[fixed]\nn_head = {'9' * 5000}\n")
    with pytest.raises(InputError, match="invalid TOML"):
        read_mapping(tmp_path / "mapping.toml")


@pytest.mark.parametrize("rate", ["1e999", "-1"])
def test_a_setting_that_no_study_can_have_is_damage(tmp_path: Path, rate: str) -> None:
    (tmp_path / "map.toml").write_text(MAPPING.replace('step = "it"', 'max_iters = "it"'))
    (tmp_path / "mine.csv").write_text(f"lr,width,it,loss/train,loss/val,t\n{rate},64,500,1.5,1.7,9\n")
    phase = read_table(tmp_path / "mine.csv", read_mapping(tmp_path / "map.toml"))
    assert phase.trials == ()
    assert "cannot be imported: learning_rate must be" in phase.damages[0].message
