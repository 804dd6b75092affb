"""A study written up: what was run, what won and why, what it cost, what it writes, and how to do it again."""

from __future__ import annotations

from pathlib import Path

from litegpt.analysis.baselines import study_baselines
from litegpt.analysis.curves import read_curves
from litegpt.analysis.imported import imported_vocab_size
from litegpt.analysis.page import Chart, to_html, to_markdown
from litegpt.analysis.sections import Material, report_blocks
from litegpt.plan.errors import InputError
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal


def write_report(folder: StudyFolder, out: Path) -> list[Path]:
    """Write `report.html`, which needs nothing else, and `report.md` with `charts/`; return what was written.

    InputError: the study has no trial that is done.
    """
    material = read_material(folder)
    title = f"{material.state.study or folder.study}: report"
    blocks = list(report_blocks(material))
    (out / "charts").mkdir(parents=True, exist_ok=True)
    files = {out / "report.html": to_html(title, blocks), out / "report.md": to_markdown(title, blocks)}
    files |= {out / "charts" / f"{block.name}.svg": block.file for block in blocks if isinstance(block, Chart)}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def read_material(folder: StudyFolder) -> Material:
    """Read what a report is written from."""
    state = read_journal(folder.journal)
    phases = tuple(phase for phase in state.phases.values() if phase.counts()["done"])
    if not phases:
        raise InputError("no trial is done yet: there is nothing to report", folder.path)
    trials = tuple(trial for phase in phases for trial in phase.current())
    alphabet = state.corpus.vocab_size if state.corpus else imported_vocab_size(folder.journal)
    baselines = study_baselines(folder, state)
    return Material(folder, state, phases, trials, read_curves(folder, trials), alphabet, baselines)
