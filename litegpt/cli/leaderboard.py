"""`litegpt leaderboard RESULTS`: the trials of a study, ranked."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt import display
from litegpt.analysis.baselines import BAR, Baselines, baseline_levels, beats_bar, study_baselines
from litegpt.analysis.curves import key_of, read_curves
from litegpt.analysis.cut import cut_safety
from litegpt.analysis.evaluation_noise import evaluation_noise
from litegpt.analysis.imported import imported_vocab_size
from litegpt.analysis.leaderboard import Row, best_elsewhere, leaderboard, setting, varying
from litegpt.analysis.query import parse_query
from litegpt.cli.command import Exit, complain, narrator
from litegpt.display import inert
from litegpt.errors import InputError, did_you_mean
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.ranking import rank, ranking_of
from litegpt.results.samples import read_samples
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.phase import RANKINGS, default_ranking
from litegpt.study.trial import MINOR, NAMED_IN_ID, tokens_differ

BITS = "bits/char"
COMPARED = {"val_loss": "val", "best_val_loss": "best val", "best_bits_per_char": BITS}
"""The columns of what baselines compare with."""
IN_NATS = {
    "best val": "nats/token",
    "val": "val nats",
    "train": "train nats",
    "gap": "gap nats",
    "final": "final nats",
}
"""The headings of losses where tokens differ, so that they do not compare."""
HYPERPARAMETER_COLUMNS = (*MINOR, *(name for name in NAMED_IN_ID if name not in MINOR))
LEAST_TELLING = ("gap", "state", "at", "parameters", "final", "time", "train", "val", *HYPERPARAMETER_COLUMNS, "id")
"""What goes first where the terminal is narrow."""
TOP = 20
PIPE_WIDTH = 1000  # columns: a pipe has no edge
NOISE_CURVES = 48  # of the best trials of a phase: enough to tell the noise, few enough to read at once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, help="a study's folder, for example results/experiments")
    parser.add_argument("--phase", metavar="NAME", help="only this phase (default: the last that has results)")
    parser.add_argument("--all-phases", action="store_true", help="the trials of all phases together")
    defaults = f"default: {default_ranking(False)}, {default_ranking(True)} where tokenizers differ"
    parser.add_argument("--by", metavar="FIGURE", help=f"{', '.join(RANKINGS)} ({defaults})")
    parser.add_argument("--top", type=int, metavar="N", help=f"only the N best (default: {TOP}, with --json all)")
    parser.add_argument(
        "--filter",
        default="",
        metavar="QUERY",
        help="for example 'lr>=3e-4 n_layer:4 state:done -batch_size:32 @500' (@: as it stood at that step)",
    )
    parser.add_argument(
        "--copied",
        action="store_true",
        help="add how much of each trial's text stands word for word in the training text, in stretches of 8 words",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print one row a trial."""
    folder = find_folder(arguments.results)
    query = parse_query(arguments.filter)
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
        noise=evaluation_noise(read_curves(folder, _sampled(phases, trials, by)).values(), by),
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
        print("[" + ",\n ".join(map(json.dumps, records)) + "]")  # a line a row: indenting thousands takes a while
        return Exit.WELL
    named = " and ".join(phase.name for phase in phases)
    title = f"{state.study or folder.study} · {named} · by {by}"
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=PIPE_WIDTH)
    console.print(leaderboard_table(shown, rows, title, console.width, copied, baselines, by))
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
    """Return the study whose folder a user named. InputError: it is none; for a study file, with where it may be."""
    try:
        return StudyFolder.find(path)
    except InputError:
        if path.is_file() and path.suffix == ".toml":
            raise InputError(f"a study file; results are in a folder, results/{path.stem} for example", path) from None
        raise


def choose_phase(state: StudyState, name: str | None) -> PhaseState:
    """Return the phase of that name, or the last that has results; InputError where there is none."""
    if name is not None:
        if name not in state.phases:
            raise InputError(f"no phase '{name}'{did_you_mean(name, state.phases) or ': ' + ', '.join(state.phases)}")
        return state.phases[name]
    phases = list(state.phases.values())
    if not phases:
        raise InputError("the study has no results yet")
    return next((phase for phase in reversed(phases) if phase.counts()["done"]), phases[0])


def _sampled(phases: Sequence[PhaseState], trials: Sequence[TrialState], by: str) -> list[TrialState]:
    """Return the trials whose curves tell the noise: the best, because ties matter there."""
    share = max(1, NOISE_CURVES // max(1, len(phases)))
    known = any(trial.metrics.value(by) is not None for trial in trials)
    return [trial for phase in phases for trial in rank(phase.current(), by if known else None)[:share]]


def _copied(folder: StudyFolder, state: StudyState, rows: Sequence[Row]) -> dict[str, float | None]:
    """Return the copied share of each row's last sample, None without one. InputError: nothing tells it."""
    from litegpt.analysis.ladder import CopyMeter  # it loads numpy

    meter = CopyMeter(folder, state)
    shares: dict[str, float | None] = dict.fromkeys(row.id for row in rows)
    for row in rows:
        for sample in read_samples(folder.trial(row.phase, row.id).samples)[-1:]:
            copied = meter.measure(sample)
            if copied is None:
                raise InputError(
                    "the corpus of this study is not at hand, so nothing tells what is copied", folder.path
                )
            shares[row.id] = copied.share
    return shares


def leaderboard_table(
    shown: Sequence[Row],
    rows: Sequence[Row],
    title: str,
    width: int,
    copied: Mapping[str, float | None] | None = None,
    baselines: Baselines | None = None,
    by: str = "best_val_loss",
) -> Table:
    """Return the rows for people, with the hyperparameters in which `rows` differ.

    What does not fit into `width` columns is left out, the least telling first. Baselines stand between the trials,
    by their losses; `by` is what the trials are ranked by.
    """
    columns = {"rank": [row.place for row in shown]}
    if len({row.phase for row in rows}) > 1:
        columns["phase"] = [row.phase for row in shown]
    for name in varying(rows):
        columns[name] = [setting(row.settings, name) for row in shown]
    columns |= {
        "parameters": [display.count(row.parameters) for row in shown],
        "train": [display.loss(row.metrics.train_loss) for row in shown],
        "val": [display.loss(row.metrics.val_loss) for row in shown],
        "best val": [display.loss(row.metrics.best_val_loss) for row in shown],
        BITS: [display.loss(row.metrics.best_bits_per_char) for row in shown],
        "at": [display.count(row.metrics.best_val_step) for row in shown],
        "final": [display.loss(row.metrics.final_loss) for row in shown],
        "gap": [display.loss(row.metrics.gap) for row in shown],
        "time": [display.duration(row.metrics.seconds) for row in shown],
        "seeds": [str(row.seeds) for row in shown],
        "spread": [display.loss(row.spread) for row in shown],
        "state": [row.state for row in shown],
        "id": [row.id for row in shown],
    }
    if copied:
        shares = [copied[row.id] for row in shown]
        columns["copied"] = ["-" if share is None else f"{share:.0%}" for share in shares]
    if all(row.seeds == 1 for row in rows):
        del columns["seeds"], columns["spread"]
    compared, is_mixed = by, tokens_differ(row.settings for row in rows)
    if all(row.settings.tokenizer == "char" for row in rows):
        if by != "best_bits_per_char":
            del columns[BITS]
    elif by == "best_val_loss" and not is_mixed:
        compared = "best_bits_per_char"  # the order is the same, and baselines have it too
    captions = ["= noise cannot tell it from the first of that rank"] if any(row.tied for row in shown) else []
    inserted: set[int] = set()
    levels = baseline_levels(baselines, [row.settings for row in rows], compared) if compared in COMPARED else {}
    if levels:
        own = [row.metrics.value(compared) if row.rank is not None else None for row in shown]
        worse = [i for i, figure in enumerate(own) if figure is not None and figure >= levels.get(BAR, math.inf)]
        for i in worse:
            columns[COMPARED[compared]][i] = f"\N{DAGGER}{columns[COMPARED[compared]][i]}"
        if worse:
            captions.append(f"\N{DAGGER} no better than the {BAR}, which only counts characters")
        inserted = _insert_baselines(columns, own, levels, COMPARED[compared])
    order: tuple[str, ...] = LEAST_TELLING
    if is_mixed:
        columns = {IN_NATS.get(heading, heading): cells for heading, cells in columns.items()}
        order = (*reversed(IN_NATS.values()), "at", "parameters", "time", "id", "state", *HYPERPARAMETER_COLUMNS)
    drop_to_fit(columns, width, order)
    table = Table(
        title=Text(inert(title)), title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.caption = Text("\n".join(captions)) if captions else None
    for heading in columns:
        left = heading in ("phase", "state", "id")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for i, row_cells in enumerate(zip(*columns.values(), strict=True)):
        table.add_row(*(Text(inert(cell)) for cell in row_cells), style="dim" if i in inserted else None)
    return table


def _insert_baselines(
    columns: dict[str, list[str]], own: Sequence[float | None], levels: Baselines, heading: str
) -> set[int]:
    """Insert a row for each baseline before the first trial that it beats; return which rows these are."""
    inserted: set[int] = set()
    for name, level in sorted(levels.items(), key=lambda item: item[1]):
        worse = (i for i, figure in enumerate(own) if figure is None or figure > level)
        at = next(worse, len(own)) + len(inserted)
        inserted.add(at)
        for column, cells in columns.items():
            cells.insert(at, {"rank": name, heading: display.loss(level)}.get(column, ""))
    return inserted


def drop_to_fit(columns: dict[str, list[str]], width: int, order: Sequence[str]) -> None:
    """Take away what a table of `width` cells has no room for, the first of `order` first."""
    widths = {name: max(map(len, (name, *cells))) + 3 for name, cells in columns.items()}
    room = width - sum(widths[name] for name in columns if name not in order)
    for name in reversed(order):  # the most telling first, and whatever still fits after it
        if name in columns and widths[name] <= room:
            room -= widths[name]
        else:
            columns.pop(name, None)
