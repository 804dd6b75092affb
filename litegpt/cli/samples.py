"""`litegpt samples RESULTS`: what models write at each loss, from gibberish to prose."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from litegpt.analysis.curves import read_curves
from litegpt.analysis.ladder import TEXTS, RankedSample, ladder, rank_samples, sample_metrics
from litegpt.analysis.study_text import CopyMeter
from litegpt.cli.command import Exit
from litegpt.cli.leaderboard import choose_phase, find_folder
from litegpt.display import MISSING, inert
from litegpt.errors import InputError, did_you_mean
from litegpt.results.journal import read_journal
from litegpt.results.metric import METRICS
from litegpt.results.samples import Copied, read_samples

TEXT_CHARACTERS = 160  # per sample in the table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("results", type=Path, help="a study's folder, for example results/experiments")
    parser.add_argument("--by", metavar="METRIC", help="val_loss (default), train_loss, final_loss or bits_per_char")
    parser.add_argument("--phase", metavar="NAME", help="only this phase (default: all phases)")
    parser.add_argument("--top", type=int, default=TEXTS, metavar="N", help=f"at most N samples (default: {TEXTS})")
    parser.add_argument("--json", action="store_true", help="print the whole texts as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Print samples whose losses are spread evenly, the highest loss first."""
    folder = find_folder(arguments.results)
    state = read_journal(folder.journal)
    phases = list(state.phases.values()) if arguments.phase is None else [choose_phase(state, arguments.phase)]
    trials = [trial for phase in phases for trial in phase.current()]
    known = sample_metrics(trials)
    by = arguments.by or known[0]
    if by not in known:
        raise InputError(f"samples cannot be ranked by '{by}'{did_you_mean(by, known) or ': ' + ', '.join(known)}")
    if arguments.top < 2:
        raise InputError("--top must be at least 2")
    samples = ((trial, read_samples(folder.trial(trial.phase, trial.id).samples)) for trial in trials)
    ranked = ladder(rank_samples(samples, by, read_curves(folder, trials)), arguments.top)
    if not ranked:
        raise InputError(f"no samples with {by} yet", folder.path)
    meter = CopyMeter(folder, state)
    copied = [meter.measure(entry.sample) for entry in ranked]
    if arguments.json:
        records = [_record(entry, by, share) for entry, share in zip(ranked, copied, strict=True)]
        print("[" + ",\n ".join(map(json.dumps, records)) + "]")
        return Exit.WELL
    title = f"{state.study or folder.study} · samples by {METRICS[by].label}"
    table = Table(title=Text(inert(title)), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("phase", METRICS[by].heading, "step", "copied", "text"):
        table.add_column(
            heading, justify="left" if heading in ("phase", "text") else "right", no_wrap=heading != "text"
        )
    for entry, share in zip(ranked, copied, strict=True):
        value, copied_share = METRICS[by].text(entry.value), MISSING if share is None else f"{share.share:.0%}"
        text = inert(entry.sample.text)[:TEXT_CHARACTERS]
        cells = (inert(entry.trial.phase), value, f"{entry.sample.step:,}", copied_share, text)
        table.add_row(*map(Text, cells))
    Console().print(table)
    return Exit.WELL


def _record(entry: RankedSample, by: str, copied: Copied | None) -> dict[str, object]:
    sample, trial = entry.sample, entry.trial
    place = {"phase": trial.phase, "trial": trial.id, "step": sample.step}
    return place | {by: entry.value, "copied": None if copied is None else copied.share, "text": sample.text}
