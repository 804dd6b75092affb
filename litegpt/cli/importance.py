"""`litegpt importance RESULTS`: the importance of hyperparameters by several methods."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt import display
from litegpt.analysis.bands import matched
from litegpt.analysis.design import TARGETS, comparable_targets
from litegpt.cli.command import Exit, complain
from litegpt.cli.leaderboard import choose_phase, find_folder
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.extras import require
from litegpt.results.journal import read_journal
from litegpt.results.metric import METRICS
from litegpt.results.state import PhaseState, TrialState
from litegpt.study.phase import default_ranking
from litegpt.study.trial import HYPERPARAMETERS

if TYPE_CHECKING:
    from litegpt.analysis.anova import Anova
    from litegpt.analysis.importance import Importance, Score

BAR_CELLS = 30
EFFECTS_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, help="a study's folder, for example results/experiments")
    parser.add_argument("--phase", metavar="NAME", help="only this phase (default: all phases, pooled)")
    defaults = f"default: loss, or {default_ranking(True)} if tokenizers differ"
    parser.add_argument("--target", metavar="TARGET", help=f"{', '.join(TARGETS)} ({defaults})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the forests and the shuffles (default: 0)")
    parser.add_argument("--values", action="store_true", help="also print the mean by value of each hyperparameter")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print the importance by every method; the first is the method of the original study."""
    folder = find_folder(arguments.results)
    state = read_journal(folder.journal)
    phases = list(state.phases.values()) if arguments.phase is None else [choose_phase(state, arguments.phase)]
    trials = [trial for phase in phases for trial in phase.current()]
    require("sklearn", "importance")
    from litegpt.analysis import importance

    target, seed = arguments.target or comparable_targets(trials)[0], arguments.seed
    forest = importance.forest(trials, target, seed)
    permutation = importance.permutation(trials, target, seed)
    # These two methods take one metric, so a target of two gets both of them twice.
    metrics = TARGETS[target]
    scores = {metric: importance.scores(trials, metric) for metric in metrics}
    variances = {metric: _variance(trials, metric) for metric in metrics}
    if arguments.json:
        parts = {
            metric: {
                "anova": asdict(variance) if (variance := variances[metric]) else None,
                "scores": [asdict(score) for score in scores[metric]],
            }
            for metric in metrics
        }
        plain = {"forest": asdict(forest), "permutation": asdict(permutation)}
        print(json.dumps(plain | ({"by_metric": parts} if len(parts) > 1 else parts[metrics[0]]), indent=2))
        return Exit.WELL
    console = Console()
    for found in (forest, permutation):
        console.print(bars_table(found, console.width))
    for metric in metrics:
        if (variance := variances[metric]) is not None:
            console.print(anova_table(variance))
        console.print(scores_table(scores[metric], metric))
    notes = [*forest.notes, *permutation.notes]
    for metric, variance in variances.items():
        alone = forest if metrics[1:] == () else importance.forest(trials, metric, seed)
        shuffled = permutation if metrics[1:] == () else importance.permutation(trials, metric, seed)
        notes += [*(variance.notes if variance else ()), *importance.disagreements(alone, shuffled, variance)]
    for note in dict.fromkeys(notes):
        console.print(Text(inert(f"- {note}")))
    if arguments.values:
        _print_values(console, phases, metrics)
    return Exit.WELL


def _print_values(console: Console, phases: Iterable[PhaseState], metrics: Iterable[str]) -> None:
    """Print a table per hyperparameter: the mean of each metric by value, compared on otherwise equal settings."""
    for metric in metrics:
        for name in HYPERPARAMETERS:
            rows = [(phase.name, row) for phase in phases for row in matched(phase.current(), name, metric)]
            if not rows:
                continue
            table = _table(f"{METRICS[metric].label} by {name}")
            for heading in ("phase", "value", "mean", "against the others", "settings"):
                table.add_column(heading, justify="left" if heading == "phase" else "right")
            for phase, row in rows:
                mean = METRICS[metric].text(row.mean)
                cells = (phase, display.value(row.value), mean, row.against, f"{row.settings:,}")
                table.add_row(*(Text(inert(cell)) for cell in cells))
            console.print(table)


def _variance(trials: Iterable[TrialState], target: str) -> Anova | None:
    from litegpt.analysis.anova import anova

    try:
        return anova(trials, target)
    except InputError as error:
        complain(f"no analysis of variance: {error}")
        return None


def bars_table(result: Importance, width: int) -> Table:
    """Return a table with one bar per factor and its interval, in `width` cells."""
    fit = "" if result.fit is None else f", R² {result.fit:.2f} on held-out trials"
    table = _table(f"{result.method}: {result.target} ({result.trials:,} trials{fit})")
    has_interval = any(bar.low is not None for bar in result.bars)
    headings = ("hyperparameter", "importance", *(("95 %",) if has_interval else ()), "")
    most = max((bar.value for bar in result.bars), default=0) or 1
    rows = []
    for bar in result.bars:
        interval = "" if bar.low is None or bar.high is None else f"{bar.low:.3f} to {bar.high:.3f}"
        rows.append([bar.name, f"{bar.value:.3f}", *([interval] if has_interval else [])])
    used = sum(max(map(len, column)) + 3 for column in zip(headings, *rows, strict=False))
    bar_cells = max(1, min(BAR_CELLS, width - used - 2))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("hyperparameter", "") else "right")
    for bar, cells in zip(result.bars, rows, strict=True):
        bars = "█" * round(bar_cells * max(0.0, bar.value) / most)
        table.add_row(*(Text(inert(cell)) for cell in (*cells, bars)))
    return table


def anova_table(variance: Anova) -> Table:
    """Draw an analysis of variance."""
    table = _table(
        f"analysis of variance, exact: {variance.target} of {inert(variance.phase)} ({variance.cells:,} settings)",
    )
    table.add_column("effect")
    table.add_column("share", justify="right")
    table.add_column("df", justify="right")
    for effect in variance.effects[:EFFECTS_SHOWN]:
        table.add_row(Text(effect.name), Text(f"{effect.share:.1%}"), Text(str(effect.freedom)))
    others = sum(effect.share for effect in variance.effects[EFFECTS_SHOWN:])
    table.add_row(Text("interactions of more factors, and chance"), Text(f"{variance.rest + others:.1%}"), Text(""))
    return table


def scores_table(scores: list[Score], metric: str) -> Table:
    """Draw the scores of single hyperparameters."""
    table = _table(f"one hyperparameter at a time: {metric}")
    for heading in ("hyperparameter", "F", "p", "mutual information", "Pearson"):
        table.add_column(heading, justify="left" if heading == "hyperparameter" else "right")
    for score in scores:
        numbers = ((score.f, ",.1f"), (score.p, ".1e"), (score.mutual_information, ".3f"), (score.pearson, "+.3f"))
        table.add_row(*map(Text, (score.name, *(display.number(*number) for number in numbers))))
    return table


def _table(title: str) -> Table:
    return Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
