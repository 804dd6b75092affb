"""`litegpt leaderboard RESULTS`: the trials of a study, ranked."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt import display
from litegpt.analysis.baselines import BAR, FULL_CONTEXT, Baselines, baseline_levels, beats_bar, study_baselines
from litegpt.analysis.curves import key_of, read_curves
from litegpt.analysis.cut import cut_safety
from litegpt.analysis.evaluation_noise import evaluation_noise, noise_sample
from litegpt.analysis.imported import imported_vocab_size
from litegpt.analysis.leaderboard import (
    LeaderboardColumn,
    Row,
    best_elsewhere,
    fit_columns,
    leaderboard,
    leaderboard_columns,
    tie_note,
)
from litegpt.analysis.query import parse_query
from litegpt.cli.command import Exit, complain, narrator
from litegpt.display import inert
from litegpt.errors import InputError, did_you_mean
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metric import METRICS
from litegpt.results.ranking import check_ranking, ranking_of
from litegpt.results.samples import read_samples
from litegpt.results.state import PhaseState, StudyState
from litegpt.study.phase import RANKINGS, default_ranking
from litegpt.study.trial import tokens_differ

TOP = 20
COLUMN_GAP = 3  # cells between two columns
PIPE_WIDTH = 1000  # columns of a pipe, which has no width


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, help="a study's folder, for example results/experiments")
    parser.add_argument("--phase", metavar="NAME", help="only this phase (default: the last one with results)")
    parser.add_argument("--all-phases", action="store_true", help="the trials of all phases together")
    defaults = f"default: {default_ranking(False)}, {default_ranking(True)} where tokenizers differ"
    parser.add_argument("--by", metavar="METRIC", help=f"{', '.join(RANKINGS)} ({defaults})")
    parser.add_argument("--top", type=int, metavar="N", help=f"only the N best (default: {TOP}, with --json all)")
    parser.add_argument(
        "--filter",
        default="",
        metavar="QUERY",
        help="for example 'lr>=3e-4 n_layer:4 state:done -batch_size:32 @500' (@: the ranking at that step)",
    )
    parser.add_argument(
        "--copied",
        action="store_true",
        help="add how much of each trial's text is copied from the training text, in passages of at least 8 words",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print one row per trial."""
    folder = find_folder(arguments.results)
    query = parse_query(arguments.filter)
    if arguments.by is not None:
        check_ranking(arguments.by)
    state = read_journal(folder.journal)
    phases = list(state.phases.values()) if arguments.all_phases else [choose_phase(state, arguments.phase)]
    trials = [trial for phase in phases for trial in phase.current()]
    if query.step is not None:
        curves = read_curves(folder, trials)
        trials = [trial.at(query.step, curves[key_of(trial)]) for trial in trials]
    by = arguments.by or ranking_of(trials)
    rows = leaderboard(
        trials,
        by,
        query=query,
        n_symbols=state.corpus.vocab_size if state.corpus else imported_vocab_size(folder.journal),
        noise=evaluation_noise(read_curves(folder, noise_sample(trials, by)).values(), by),
    )
    top = arguments.top if arguments.top is not None else None if arguments.json else TOP
    shown = rows if top is None else rows[: max(0, top)]
    copied = _copied(folder, state, shown) if arguments.copied else {}
    baselines = study_baselines(folder, state)
    if arguments.json:
        records = [
            row.record()
            | {f"beats_{BAR}": beats_bar(row.metrics.best_bits_per_char, baselines)}
            | ({"copied": copied[row.id]} if copied else {})
            for row in shown
        ]
        # One line per row, because indenting thousands of rows takes long.
        print("[" + ",\n ".join(map(json.dumps, records)) + "]")
        return Exit.WELL
    named = " and ".join(phase.name for phase in phases)
    title = f"{state.study or folder.study} · {named} · by {by}"
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=PIPE_WIDTH)
    console.print(leaderboard_table(rows, title, console.width, by, top=len(shown), baselines=baselines, copied=copied))
    if rows and rows[0].rank is None:
        complain(f"none of them has {by}{'' if query.step is None else f' at step {query.step}'}")
    if len(shown) < len(rows):
        complain(f"{len(shown)} of {len(rows):,} rows; --top {len(rows)} shows all")
    for cut in cut_safety(state, arguments.by):
        if cut.target in {phase.name for phase in phases}:
            _note(cut.sentence())
    if arguments.phase is None and not arguments.all_phases:
        _note(best_elsewhere(state.phases.values(), phases[0]))
    return Exit.WELL


def _note(sentence: str) -> None:
    if sentence:
        narrator().print(inert(sentence), soft_wrap=True)


def find_folder(path: Path) -> StudyFolder:
    """Return the study in a folder that a user named. InputError: it has no study; the message may suggest a folder."""
    try:
        return StudyFolder.find(path)
    except InputError:
        if path.is_file() and path.suffix == ".toml":
            raise InputError(f"a study file; results are in a folder, results/{path.stem} for example", path) from None
        raise


def choose_phase(state: StudyState, name: str | None) -> PhaseState:
    """Return the phase of that name, or the last one with results. InputError: no such phase."""
    if name is not None:
        if name not in state.phases:
            raise InputError(f"no phase '{name}'{did_you_mean(name, state.phases) or ': ' + ', '.join(state.phases)}")
        return state.phases[name]
    phases = list(state.phases.values())
    if not phases:
        raise InputError("the study has no results yet")
    return next((phase for phase in reversed(phases) if phase.counts()["done"]), phases[0])


def _copied(folder: StudyFolder, state: StudyState, rows: Sequence[Row]) -> dict[str, float | None]:
    """Return the copied share of each row's last sample, None without a sample. InputError: it cannot be measured."""
    from litegpt.analysis.study_text import CopyMeter  # loads NumPy

    meter = CopyMeter(folder, state)
    shares: dict[str, float | None] = dict.fromkeys(row.id for row in rows)
    for row in rows:
        for sample in read_samples(folder.trial(row.phase, row.id).samples)[-1:]:
            copied = meter.measure(sample)
            if copied is None:
                raise InputError(
                    "the corpus of this study cannot be read, so the copied share cannot be measured", folder.path
                )
            shares[row.id] = copied.share
    return shares


def leaderboard_table(
    rows: Sequence[Row],
    title: str,
    width: int,
    by: str,
    *,
    top: int | None = None,
    baselines: Baselines | None = None,
    copied: Mapping[str, float | None] | None = None,
) -> Table:
    """Return a table of the best `top` rows, with as many columns as fit into `width` cells.

    Baselines are inserted between the trials by their losses.
    """
    columns = leaderboard_columns(rows, by)
    if copied:
        columns.append(LeaderboardColumn("copied", "copied", 6))
    metric, levels = _baseline_metric(rows, by, baselines)
    columns[0] = dataclasses.replace(columns[0], width=max([columns[0].width, *map(len, levels)]))
    columns = fit_columns(columns, width - 1, COLUMN_GAP)
    shown = rows if top is None else rows[:top]
    cells = [{column.name: row.text(column.name) for column in columns} for row in shown]
    if copied:
        for row, row_cells in zip(shown, cells, strict=True):
            share = copied[row.id]
            row_cells["copied"] = display.MISSING if share is None else f"{share:.0%}"
    captions = [note] if (note := tie_note(shown)) else []
    values = [row.metrics.value(metric) if row.rank is not None else None for row in shown]
    bar = levels.get(BAR, math.inf)
    for value, row_cells in zip(values, cells, strict=True):
        if value is not None and value >= bar and metric in row_cells:
            row_cells[metric] = f"\N{DAGGER}{row_cells[metric]}"
    if any(value is not None and value >= bar for value in values):
        captions.append(f"\N{DAGGER} no better than the {BAR}, which only counts characters")
    if levels:
        captions.append(FULL_CONTEXT)
    table = Table(
        title=Text(inert(title)), title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.caption = Text("\n".join(captions)) if captions else None
    for column in columns:
        table.add_column(column.heading, justify="left" if column.is_left else "right", no_wrap=True)
    waiting = sorted(levels.items(), key=lambda item: -item[1])
    for value, row_cells in zip(values, cells, strict=True):
        while waiting and (value is None or value > waiting[-1][1]):
            _add_row(table, columns, _baseline_cells(*waiting.pop(), metric), "dim")
        _add_row(table, columns, row_cells)
    while waiting:
        _add_row(table, columns, _baseline_cells(*waiting.pop(), metric), "dim")
    return table


def _baseline_metric(rows: Sequence[Row], by: str, baselines: Baselines | None) -> tuple[str, Baselines]:
    """Return the metric in which baselines compare with the rows, and their values in it."""
    settings = [row.settings for row in rows]
    if (
        by == "best_val_loss"
        and any(setting.tokenizer != "char" for setting in settings)
        and not tokens_differ(settings)
    ):
        # The order is the same, and baselines are in this unit too.
        by = "best_bits_per_char"
    return by, baseline_levels(baselines, settings, by) if METRICS[by].is_validation else {}


def _baseline_cells(name: str, level: float, metric: str) -> dict[str, str]:
    return {"rank": name, metric: METRICS[metric].text(level)}


def _add_row(
    table: Table, columns: Sequence[LeaderboardColumn], cells: Mapping[str, str], style: str | None = None
) -> None:
    table.add_row(*(Text(inert(cells.get(column.name, ""))) for column in columns), style=style)
