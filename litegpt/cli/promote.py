"""`litegpt promote STUDY --from PHASE`: write a new phase with the best trials of a phase into the study file."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from litegpt.analysis.curves import read_curves
from litegpt.analysis.cut import ties_at_cut
from litegpt.analysis.evaluation_noise import evaluation_noise, noise_sample
from litegpt.analysis.promote import ProposedPhase, exclusion_reasons, incomparable, preview_promotion
from litegpt.cli.command import Exit, complain
from litegpt.display import inert
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.ranking import ranking_of
from litegpt.results.state import TrialState
from litegpt.study.document import read_text
from litegpt.study.edit.save import FileChangedError, save
from litegpt.study.phase import PROMOTION_MODES, RANKINGS, STARTS, Promotion
from litegpt.study.study import parse_study

CONFLICTS_MAX = 20  # retries after other programs changed the study file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("study", type=Path, help="the study file that the phase is written into")
    parser.add_argument("--from", dest="source", required=True, metavar="PHASE", help="the phase to promote from")
    parser.add_argument("--top", type=int, required=True, metavar="K", help="number of trials to promote")
    parser.add_argument("--by", help=f"{', '.join(RANKINGS)} (default: as in the leaderboard)")
    parser.add_argument(
        "--how",
        choices=PROMOTION_MODES,
        default="narrow",
        help="narrow: a grid of their values; exact: exactly these trials",
    )
    parser.add_argument(
        "--start", choices=STARTS, default="scratch", help="from new weights, or from those of the promoted trial"
    )
    parser.add_argument("--name", help="the new phase's name (default: phase and the next number)")
    parser.add_argument("--max-iters", type=int, metavar="N", help="default: by the ratios of earlier phases")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the results folder (default: ./results)")
    parser.add_argument("--dry-run", action="store_true", help="show the new phase and write nothing")
    parser.add_argument("--json", action="store_true", help="print rule, count and trials as JSON")


def run(arguments: argparse.Namespace) -> Exit:
    """Show the promotion, and write it unless it is a dry run."""
    # Another promotion may change the file between reading and writing. Then this one starts again from that file.
    for _ in range(CONFLICTS_MAX):
        with contextlib.suppress(FileChangedError):
            return _promote(arguments)
    return _promote(arguments)


def _promote(arguments: argparse.Namespace) -> Exit:
    text = read_text(arguments.study)
    study = parse_study(text, arguments.study)
    folder = StudyFolder(arguments.results, study.name)
    state = read_journal(folder.journal)
    source = state.phases.get(arguments.source)
    by = arguments.by or ranking_of(source.current() if source else ())
    promotion = Promotion(arguments.source, arguments.top, by, arguments.how, arguments.start)
    preview = preview_promotion(study, text, state, promotion, arguments.name, arguments.max_iters)
    for warning in _warnings(preview, folder, state.phases[promotion.source].current()):
        complain(warning)
    if not arguments.dry_run:
        save(arguments.study, preview.text, text)
    if arguments.json:
        print(json.dumps(preview.plain(), indent=2))
    else:
        _print(arguments, preview)
    return Exit.WELL


def _warnings(preview: ProposedPhase, folder: StudyFolder, trials: Sequence[TrialState]) -> Iterator[str]:
    rule = preview.promotion
    if warning := incomparable(rule.by, trials):
        yield warning
    if preview.unfinished:
        yield f"{preview.unfinished:,} trials of {rule.source} have not ended: the best may change"
    curves = read_curves(folder, noise_sample(trials, rule.by))
    if ties := ties_at_cut(trials, rule.by, rule.top, evaluation_noise(curves.values(), rule.by)):
        yield ties.sentence()


def _print(arguments: argparse.Namespace, preview: ProposedPhase) -> None:
    rule, count = preview.promotion, len(preview.trials)
    print(f"{preview.phase}: {count:,} trials of {preview.max_iters:,} iterations, {len(preview.excluded):,} excluded")
    for reason, excluded in exclusion_reasons(preview.excluded):
        print(inert(f"  {excluded:,} {reason}"))
    print(f"from the {len(preview.promoted)} best of {rule.source} by {rule.by}, {rule.how}, from {rule.start}")
    for name, values in _axes(preview):
        print(f"  {name} = {', '.join(values)}")
    print("nothing written" if arguments.dry_run else inert(f"written into {arguments.study}"))


def _axes(preview: ProposedPhase) -> list[tuple[str, list[str]]]:
    settings = [trial.settings() for trial in preview.trials]
    axes: list[tuple[str, list[str]]] = []
    for name in settings[0] if settings else ():
        values = list(dict.fromkeys(trial[name] for trial in settings))
        if len(values) > 1 and name != "start_from":
            axes.append((name, [f"{value:g}" if isinstance(value, float) else str(value) for value in values]))
    return axes
