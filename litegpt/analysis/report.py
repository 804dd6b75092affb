"""A study written up: what was run, what won and why, what it cost, what it writes, and how to do it again."""

from __future__ import annotations

from pathlib import Path

from litegpt.analysis.material import read_material
from litegpt.analysis.page import Chart, to_html, to_markdown
from litegpt.analysis.sections import report_blocks
from litegpt.results.folder import StudyFolder


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
