"""The summary at the end of a run: leaderboard, losses, generated texts and the next command."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from litegpt.analysis.baselines import BAR, Baselines, baseline_levels, beats_bar, study_baselines
from litegpt.analysis.leaderboard import best_elsewhere, leaderboard
from litegpt.cli.leaderboard import leaderboard_table
from litegpt.display import inert, wants_plain_text
from litegpt.results.folder import StudyFolder
from litegpt.results.metric import Metric, bits_per_char
from litegpt.results.metrics import read_metrics
from litegpt.results.names import short_names
from litegpt.results.ranking import comparable_metric, rank
from litegpt.results.samples import Sample, read_samples
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.evaluation import SAMPLE_CHARACTERS
from litegpt.study.study import Study

LEADERBOARD_ROWS = 10
CHART_TRIALS = 6
DRAWN_BASELINES = ("trigram", "5-gram")  # the others soon leave the range of the chart
CHART_HEIGHT = 16


def print_closing(study: Study, state: StudyState, folder: StudyFolder) -> None:
    """Print the summary on stdout."""
    console = Console(highlight=False)
    phases = [state.phases[phase.name] for phase in study.phases if phase.name in state.phases]
    ranked = [(phase, rank(phase.current())) for phase in phases]
    ranked = [(phase, trials) for phase, trials in ranked if trials]
    if not ranked:
        console.print("No trial ended with a validation loss.")
        return
    last, trials = ranked[-1]
    if elsewhere := best_elsewhere(phases, last):
        console.print(Text(inert(elsewhere), style="bold"), soft_wrap=True)
    rows = leaderboard(last.current(), n_symbols=state.corpus.vocab_size if state.corpus else None)
    rows = [row for row in rows if row.rank is not None]
    by = comparable_metric(trials)
    title = f"{last.name}: the best of {len(last.current())} trials by {by.label}"
    console.print(leaderboard_table(rows, title, console.width, by.name, top=LEADERBOARD_ROWS))
    baselines = study_baselines(folder, state)
    _print_comparison(console, last, trials, baselines)
    _print_chart(console, folder, last, trials[:CHART_TRIALS], baselines)
    metric = comparable_metric(trial for _, best in ranked for trial in best).curve
    for phase, best in ranked:
        _print_sample(console, folder, phase, best[0], metric)
    console.print(Text(f"\nNext: litegpt-tui {study.path}", style="bold"), soft_wrap=True)


def _print_comparison(
    console: Console, phase: PhaseState, trials: Sequence[TrialState], baselines: Baselines | None
) -> None:
    """Print how many trials do not beat the n-gram baseline."""
    worse = [trial for trial in trials if beats_bar(trial.metrics.best_bits_per_char, baselines) is False]
    if baselines and worse:
        who = f"No trial in phase '{phase.name}' beats"
        if len(worse) < len(trials):
            who = f"{len(worse)} of {len(trials)} trials in phase '{phase.name}' do not beat"
        bar = f"{baselines[BAR]:.4f}"
        if any(trial.settings.tokenizer != "char" for trial in trials):
            bar = f"{bits_per_char(baselines[BAR]):.4f} bits per character"
        line = f"{who} the {BAR} baseline, which only counts characters ({bar})."
        console.print(Text(inert(line)), soft_wrap=True)


def _print_chart(
    console: Console,
    folder: StudyFolder,
    phase: PhaseState,
    trials: Sequence[TrialState],
    baselines: Baselines | None,
) -> None:
    from litegpt.analysis.terminal_charts import Series, loss_chart, loss_table

    metric = comparable_metric(phase.current()).curve
    levels = baseline_levels(baselines, [trial.settings for trial in trials], metric.name)
    names = short_names(trials)
    series = []
    for position, trial in enumerate(trials, start=1):
        points = read_metrics(folder.trial(phase.name, trial.id).metrics).points(metric.name)
        series.append(Series(f"{position}: {names[trial.phase, trial.id]}", points))
    last = max((step for entry in series for step, _ in entry.points), default=0.0)
    for name in DRAWN_BASELINES:
        if name in levels:
            series.append(Series(f"{name}, by counting", [(0.0, levels[name]), (last, levels[name])]))
    console.print(Text(f"{metric.label} by step", style="dim"))
    if wants_plain_text():
        print(loss_table(series))
        return
    color = console.is_terminal and not console.is_dumb_terminal and not os.environ.get("NO_COLOR")
    print(loss_chart(series, width=min(console.width, 100), height=CHART_HEIGHT, color=color))


def _print_sample(console: Console, folder: StudyFolder, phase: PhaseState, trial: TrialState, metric: Metric) -> None:
    files = folder.trial(phase.name, trial.id)
    samples = read_samples(files.samples)
    if not samples:
        return
    sample = min(samples, key=_loss)
    level = dict(read_metrics(files.metrics).points(metric.name)).get(sample.step)
    loss = "" if level is None else f", {metric.label} {level:.3f}"
    console.print(Text(f"\n{phase.name} writes{loss}:", style="bold"))
    text = inert(sample.text[:SAMPLE_CHARACTERS].strip("\n"), newlines=True)
    console.print(Text(text), soft_wrap=False)


def _loss(sample: Sample) -> float:
    return float("inf") if sample.loss is None else sample.loss
