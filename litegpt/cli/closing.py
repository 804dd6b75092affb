"""What a finished run leaves on the screen: who won, how the losses went, what the models write, what to type next."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.analysis.baselines import BAR, Baselines, baseline_levels, beats_bar, study_baselines
from litegpt.analysis.leaderboard import best_elsewhere, setting
from litegpt.cli.leaderboard import drop_to_fit
from litegpt.display import FIGURE_NAMES, inert
from litegpt.results.folder import StudyFolder
from litegpt.results.metric import bits_per_char
from litegpt.results.metrics import read_metrics
from litegpt.results.ranking import rank, ranking_of
from litegpt.results.samples import Sample, read_samples
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.evaluation import SAMPLE_CHARACTERS
from litegpt.study.study import Study
from litegpt.study.trial import HYPERPARAMETERS

LEADERBOARD_ROWS = 10
CHART_TRIALS = 6
DRAWN_BASELINES = ("trigram", "5-gram")  # the others are off the chart soon
CHART_HEIGHT = 16


def print_closing(study: Study, state: StudyState, folder: StudyFolder) -> None:
    """Print the closing on stdout."""
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
    console.print(_leaderboard(last, trials, console.width))
    baselines = study_baselines(folder, state)
    _print_comparison(console, last, trials, baselines)
    _print_chart(console, folder, last, trials[:CHART_TRIALS], baselines)
    figure = _figure_of([trial for _, best in ranked for trial in best])
    for phase, best in ranked:
        _print_sample(console, folder, phase, best[0], figure)
    console.print(Text(f"\nNext: litegpt-tui {study.path}", style="bold"), soft_wrap=True)


def _leaderboard(phase: PhaseState, trials: Sequence[TrialState], width: int) -> Table:
    """Return the best; where `width` is short, the training loss goes first, then what the trials differ in last."""
    shown, names = trials[:LEADERBOARD_ROWS], varying_names(trials)
    losses = {"train loss": "train_loss", "val loss": "val_loss", "best val": "best_val_loss"}
    if any(trial.settings.tokenizer != "char" for trial in trials):
        losses = {"best val": "best_val_loss", "bits/char": "best_bits_per_char"}
    columns = {"": [str(place) for place, _ in enumerate(shown, start=1)]}
    columns |= {HYPERPARAMETERS[n].heading: [setting(trial.settings, n) for trial in shown] for n in names}
    columns |= {heading: [_figure(trial.metrics.value(name)) for trial in shown] for heading, name in losses.items()}
    columns["at step"] = [
        "" if trial.metrics.best_val_step is None else str(trial.metrics.best_val_step) for trial in shown
    ]
    columns["seconds"] = ["" if trial.metrics.seconds is None else f"{trial.metrics.seconds:.1f}" for trial in shown]
    drop_to_fit(columns, width, ("train loss", "val loss" if len(losses) == 3 else "best val", "seconds", "at step"))
    title = Text(f"{phase.name}: the best of {len(phase.current())} trials by {FIGURE_NAMES[_figure_of(trials)]}")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def varying_names(trials: Sequence[TrialState]) -> list[str]:
    """Return the hyperparameters in which these trials differ; of a single trial, those that say most."""
    if len(trials) == 1:
        return ["n_layer", "n_embd", "block_size", "learning_rate"]
    return [name for name in HYPERPARAMETERS if len({getattr(trial.settings, name) for trial in trials}) > 1]


def _figure_of(trials: Sequence[TrialState]) -> str:
    """Return the figure of an evaluation in which these trials compare."""
    return ranking_of(trials).removeprefix("best_")


def _figure(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.4f}"


def _print_comparison(
    console: Console, phase: PhaseState, trials: Sequence[TrialState], baselines: Baselines | None
) -> None:
    """Say which trials predict no better than a baseline that only counts characters."""
    worse = [trial for trial in trials if beats_bar(trial.metrics.best_bits_per_char, baselines) is False]
    if baselines and worse:
        told = f"No trial of {phase.name} beats"
        if len(worse) < len(trials):
            told = f"{len(worse)} of {len(trials)} trials of {phase.name} do not beat"
        bar = f"{baselines[BAR]:.4f}"
        if any(trial.settings.tokenizer != "char" for trial in trials):
            bar = f"{bits_per_char(baselines[BAR]):.4f} bits per character"
        line = f"{told} the {BAR}, which only counts characters ({bar})."
        console.print(Text(inert(line)), soft_wrap=True)


def _print_chart(
    console: Console,
    folder: StudyFolder,
    phase: PhaseState,
    trials: Sequence[TrialState],
    baselines: Baselines | None,
) -> None:
    from litegpt.analysis.terminal_charts import Series, loss_chart

    figure = _figure_of(phase.current())
    levels = baseline_levels(baselines, [trial.settings for trial in trials], figure)
    series = []
    for place, trial in enumerate(trials, start=1):
        evaluations = read_metrics(folder.trial(phase.name, trial.id).metrics)
        points = [(float(evaluation.step), getattr(evaluation, figure)) for evaluation in evaluations]
        series.append(Series(f"{place}: {trial.id}", points))
    last = max((step for entry in series for step, _ in entry.points), default=0.0)
    for name in DRAWN_BASELINES:
        if name in levels:
            series.append(Series(f"{name}, by counting", [(0.0, levels[name]), (last, levels[name])]))
    console.print(Text(f"{FIGURE_NAMES[figure]} by step", style="dim"))
    color = console.is_terminal and not console.is_dumb_terminal and not os.environ.get("NO_COLOR")
    print(loss_chart(series, width=min(console.width, 100), height=CHART_HEIGHT, color=color))


def _print_sample(console: Console, folder: StudyFolder, phase: PhaseState, trial: TrialState, figure: str) -> None:
    files = folder.trial(phase.name, trial.id)
    samples = read_samples(files.samples)
    if not samples:
        return
    sample = min(samples, key=_loss)
    level = next((getattr(row, figure) for row in read_metrics(files.metrics) if row.step == sample.step), None)
    loss = "" if level is None else f", {FIGURE_NAMES[figure]} {level:.3f}"
    console.print(Text(f"\n{phase.name} writes{loss}:", style="bold"))
    text = inert(sample.text[:SAMPLE_CHARACTERS].strip("\n"), newlines=True)
    console.print(Text(text), soft_wrap=False)


def _loss(sample: Sample) -> float:
    return float("inf") if sample.loss is None else sample.loss
