"""The details of one trial: its metrics, curve, latest sample and settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from litegpt import display
from litegpt.analysis.ladder import sample_value
from litegpt.analysis.leaderboard import Row
from litegpt.display import inert
from litegpt.results.samples import Sample
from litegpt.results.state import TrialState
from litegpt.study.trial import HYPERPARAMETERS
from tui.charts.plot import Line
from tui.curve import Curve
from tui.widgets.chart import Chart

SAMPLE_LINES = 12
NAME_CELLS = max(map(len, HYPERPARAMETERS)) + 2


class Detail(VerticalScroll):
    """The pane with the details of the trial under the cursor."""

    HELP = "The trial under the cursor: metrics, losses, latest sample and all settings."
    DEFAULT_CSS = """
    Detail Chart { height: 14; min-height: 8; border: none; padding: 0; }
    Detail .text { height: auto; }
    Detail.-empty > * { visibility: hidden; }
    Screen.-low Detail Chart { height: 9; }
    """

    def compose(self) -> ComposeResult:
        yield Static(classes="text", id="metrics")
        yield Chart(classes="", id="detail-chart")
        yield Static(classes="text", id="sample")
        yield Static(classes="text", id="settings")

    def show(
        self,
        row: Row | None,
        trial: TrialState | None,
        curve: Curve | None,
        samples: Sequence[Sample] | None,
        varying: Sequence[str],
        colours: Sequence[str],
        baseline: tuple[str, float] | None,
    ) -> None:
        """Show a trial of a row; None empties the pane."""
        self.set_class(row is None, "-empty")
        if row is None or trial is None:
            return
        self.border_title = inert(trial.id)
        has_bits = trial.settings.tokenizer != "char" or not {"tokenizer", "vocab_size"}.isdisjoint(varying)
        self.query_one("#metrics", Static).update(_metrics(row, trial, baseline, has_bits))
        chart = self.query_one(Chart)
        if curve is None:
            chart.show([], empty="reading…")
        else:
            lines = _in_bits(curve, colours, baseline) if has_bits else _in_nats(curve, colours)
            chart.show(lines, empty="no evaluations yet")
        self.query_one("#sample", Static).update(_sample(samples, trial if has_bits else None))
        self.query_one("#settings", Static).update(_settings(trial, varying))


def _in_nats(curve: Curve, colours: Sequence[str]) -> list[Line]:
    train = Line("train", curve.steps, curve.train_loss, colours[1], dash=2)
    return [train, Line("val", curve.steps, curve.val_loss, colours[0])]


def _in_bits(curve: Curve, colours: Sequence[str], baseline: tuple[str, float] | None) -> list[Line]:
    """Return the curve in bits per character, drawn over the line of the baseline."""
    lines = [Line("bits/char", curve.steps, curve.bits_per_char, colours[0])]
    if baseline is not None and len(curve):
        level = baseline[1] / math.log(2)
        lines.insert(0, Line(baseline[0], [curve.steps[0], curve.steps[-1]], [level, level], "warn", dash=3))
    return lines


def _metrics(row: Row, trial: TrialState, baseline: tuple[str, float] | None, has_bits: bool) -> Content:
    pairs = [
        ("val loss", row.text("val_loss")),
        (
            "best val",
            f"{row.text('best_val_loss')} at {row.text('best_val_step')}",
        ),
        *(
            [
                ("bits/char", row.text("bits_per_char")),
                ("best", row.text("best_bits_per_char")),
            ]
            if has_bits
            else []
        ),
        ("train loss", row.text("train_loss")),
        ("gap", row.text("gap")),
        ("parameters", row.text("parameters")),
        ("time", row.text("seconds")),
        ("tokens/s", row.text("tokens_per_second")),
        ("device", inert(" ".join(filter(None, (trial.device, trial.precision))) or "-")),
    ]
    parts: list[Content | str | tuple[str, str]] = []
    for index, (name, value) in enumerate(pairs):
        is_left = index % 2 == 0
        parts += [(f"{name:<{11 if is_left else 9}}", "$text-muted"), f"{value:<13}" if is_left else f"{value}\n"]
    if row.seeds > 1:
        parts += [("seeds      ", "$text-muted"), f"{row.seeds}, ± {row.spread or 0:.3f}\n"]
    if baseline is not None and row.metrics.best_bits_per_char is not None:
        bits = baseline[1] / math.log(2)
        level = f"{bits:.3f} bits/char" if has_bits else f"{baseline[1]:.3f}"
        if row.metrics.best_bits_per_char >= bits:
            parts += [(f"does not beat the {baseline[0]}, {level}\n", "$warning")]
    if trial.reason:
        style = "$error" if trial.state in ("failed", "diverged") else "$text-muted"
        parts += [(f"{trial.state}: {inert(trial.reason)}\n", style)]
    return Content.assemble(*parts)


def _sample(samples: Sequence[Sample] | None, in_bits: TrialState | None) -> Content:
    """Return the latest sample below its loss, or below its bits per character if `in_bits` is its trial."""
    if not samples:
        return Content.styled("no samples yet" if samples is not None else "", "$text-muted")
    last = samples[-1]
    loss = "" if last.loss is None else f", loss {last.loss:.3f}"
    if in_bits is not None:
        bits = sample_value(last, in_bits, "bits_per_char")
        loss = "" if bits is None else f", {bits:.3f} bits/char"
    text = "\n".join(inert(last.text.strip("\n"), newlines=True).expandtabs(4).splitlines()[:SAMPLE_LINES])
    return Content.assemble((f"sample at step {last.step:,}{loss}\n", "$text-muted"), text, "\n")


def _settings(trial: TrialState, varying: Sequence[str]) -> Content:
    parts: list[Content | str | tuple[str, str]] = []
    for name in (*HYPERPARAMETERS, "start_from"):
        value = getattr(trial.settings, name)
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else display.value(value)
            style = "bold $accent" if name in varying else ""
            parts += [(f"{name:<{NAME_CELLS}}", "$text-muted"), (f"{inert(text)}\n", style)]
    return Content.assemble(*parts)
