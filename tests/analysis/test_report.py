from __future__ import annotations

import csv
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from litegpt.analysis.export import write_tables
from litegpt.analysis.findings import suspicious
from litegpt.analysis.page import Grid, Heading, Listing, Notes, Paragraph, to_html, to_markdown
from litegpt.analysis.report import read_material, report_blocks
from litegpt.cli.main import main
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metrics import read_metrics
from litegpt.study.trial import Trial
from tests.analysis.conftest import imported_study, imported_trial
from tests.builders import make_trial, trial_state

EVIL = "<script>alert(1)</script> | *bold* \x1b[31m `x`"


def test_text_from_files_is_escaped() -> None:
    blocks = [Heading(EVIL), Paragraph(EVIL), Notes((EVIL,)), Grid(("a", "b"), ((EVIL, EVIL),), ("b",)), Listing(EVIL)]
    page = to_html(EVIL, blocks)
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 8
    assert "\x1b" not in page
    text = to_markdown(EVIL, blocks)
    assert "\x1b" not in text
    row = next(line for line in text.splitlines() if line.startswith("| ") and "alert" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="no matplotlib")


@needs_matplotlib
def test_a_report_loads_nothing(made: StudyFolder, tmp_path: Path, capsys) -> None:
    assert main(["report", str(made.path), "--out", str(tmp_path / "out")]) == 0
    page, text = (Path(line) for line in capsys.readouterr().out.splitlines())
    content = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"'](?!#)", content.replace("xlink:href", "href"))
    assert not re.search(r"@import|url\((?!#)", content)
    for title in ("What was run", "What won", "What mattered", "What it cost", "How to reproduce it"):
        assert f"<h2>{title}</h2>" in content
        assert f"## {title}" in text.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in content
    assert content.count("<svg") > 8
    ids = re.findall(r'<clipPath id="([^"]+)"', content)
    assert len(ids) == len(set(ids))
    for name in re.findall(r"\]\((charts/[^)]+)\)", text.read_text(encoding="utf-8")):
        ElementTree.parse(page.parent / name)


@needs_matplotlib
def test_effects_are_shown_per_phase(original: StudyFolder) -> None:
    """In the original study a block of 128 is the worst at 500 steps and the best at 1,500."""
    rows = [
        row
        for block in report_blocks(read_material(original))
        if isinstance(block, Grid) and block.head[:2] == ("phase", "block_size")
        for row in block.rows
    ]
    effects = {(row[0], row[1]): row[3] for row in rows}
    assert effects["phase1", "128"].startswith("+0.060 ± 0.004")
    assert effects["phase2", "128"].startswith("-0.018 ± 0.002")
    assert all(row[4] != "-" for row in rows)


@needs_matplotlib
def test_the_same_chart_is_the_same_file(made: StudyFolder) -> None:
    from litegpt.analysis.bands import bands
    from litegpt.analysis.charts import bands_chart
    from litegpt.analysis.curves import read_curves

    trials = read_journal(made.journal).phases["phase1"].current()
    found = bands(trials, read_curves(made, trials), "n_layer")
    first, second = (bands_chart(found, "n_layer", "train_loss", "training loss") for _ in range(2))
    assert first == second
    assert "currentColor" in first.inline
    assert "currentColor" not in first.file


@needs_matplotlib
@pytest.mark.filterwarnings("error")
def test_a_study_without_validation_losses_has_a_report(tmp_path: Path) -> None:
    def losses(trial: Trial, step: int) -> tuple[float, None]:
        return 2.0 + trial.learning_rate, None

    folder = imported_study(
        tmp_path, {"only": [imported_trial(losses, learning_rate=rate / 10) for rate in range(1, 4)]}
    )
    assert main(["report", str(folder.path), "--out", str(tmp_path / "out")]) == 0
    assert "not enough data" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


@needs_matplotlib
def test_a_study_without_results_has_no_report(tmp_path: Path, capsys) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/journal.jsonl").write_text('{"event": "study_opened", "format": 1, "study": "s"}\n')
    assert main(["report", str(tmp_path / "s"), "--out", str(tmp_path / "out")]) == 2
    assert "no trial is done yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_equals_the_files(made: StudyFolder, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    assert main(["export", str(made.path), "--out", str(tmp_path), "--format", kind]) == 0
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    trials, metrics = read(tmp_path / f"trials.{kind}"), read(tmp_path / f"metrics.{kind}")
    ends = [
        record
        for line in made.journal.read_text(encoding="utf-8").splitlines()
        if (record := json.loads(line))["event"] == "trial_ended"
    ]
    assert trials["trial"].tolist() == [record["trial"] for record in ends]
    assert trials["best_val_loss"].tolist() == [record["best_val_loss"] for record in ends]
    lines = [
        json.loads(line)
        for record in ends
        for line in made.trial(record["phase"], record["trial"]).metrics.read_text(encoding="utf-8").splitlines()
    ]
    assert metrics["val_loss"].tolist() == [line["val_loss"] for line in lines]
    assert metrics["step"].tolist() == [line["step"] for line in lines]
    assert metrics["final_loss"].isna().all()  # missing stays missing


def test_a_csv_cell_is_never_a_formula(made: StudyFolder, tmp_path: Path) -> None:
    state = read_journal(made.journal)
    trials = state.phases["phase1"].trials
    first = next(iter(trials.values()))
    trials[first.id] = replace(first, reason="=cmd|' /C calc'!A0", worker="@w", device="-1")
    write_tables(made, state, tmp_path, "csv")
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["reason"], row["worker"], row["device"]) == ("'=cmd|' /C calc'!A0", "'@w", "'-1")


def test_tensorboard_reads_the_curves(made: StudyFolder, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    assert main(["export", str(made.path), "--out", str(tmp_path), "--format", "tensorboard"]) == 0
    trial = read_journal(made.journal).phases["phase1"].current()[0]
    (path,) = (tmp_path / "phase1" / trial.id).glob("events.out.tfevents.*")
    data, found, place = path.read_bytes(), {}, 0
    while place < len(data):  # a record: length in 8 bytes, their checksum in 4, the data, its checksum in 4
        length = int.from_bytes(data[place : place + 8], "little")
        event = Event.FromString(data[place + 12 : place + 12 + length])
        place += 16 + length
        for value in event.summary.value:
            if value.tag == "loss/validation":
                found[event.step] = value.simple_value
    expected = {e.step: e.val_loss for e in read_metrics(made.trial("phase1", trial.id).metrics)}
    assert found == pytest.approx(expected)


def test_one_threshold_decides_what_is_worse_than_guessing() -> None:
    """A uniform guess over 86 symbols has ln 86 = 4.454."""
    losses = {1: 4.37, 2: 4.44, 3: 4.46, 4: 4.40}
    trials = [
        trial_state(make_trial(n_layer=n), val_loss=loss, best_val_loss=4.40 if n == 4 else 2.0)
        for n, loss in losses.items()
    ]
    found = {suspicion.trial: suspicion.kind for suspicion in suspicious(trials, n_symbols=86)}
    assert found == {trials[2].id: "worse than guessing", trials[3].id: "learned nothing"}
