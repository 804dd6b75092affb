"""The sections of a report, in the order a reader wants them. Import it late: it draws."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from litegpt import display
from litegpt.analysis import charts, importance
from litegpt.analysis.anova import anova
from litegpt.analysis.bands import bands, matched, median_course, unmatched
from litegpt.analysis.baselines import baseline_blocks
from litegpt.analysis.curves import key_of
from litegpt.analysis.cut import cut_safety
from litegpt.analysis.design import TARGETS, design
from litegpt.analysis.evaluation_noise import evaluation_noise
from litegpt.analysis.findings import pareto_front, suspicious
from litegpt.analysis.ladder import CopyMeter, Rung, ladder, read_rungs
from litegpt.analysis.leaderboard import best_elsewhere, leaderboard, leaderboard_columns
from litegpt.analysis.material import Material
from litegpt.analysis.overfitting import overfitting
from litegpt.analysis.page import Block, Grid, Heading, Listing, Notes, Paragraph
from litegpt.errors import InputError
from litegpt.estimate.cost import parameter_count
from litegpt.results.metric import METRICS
from litegpt.results.ranking import rank, ranking_of
from litegpt.results.state import StudyState, TrialState

WINNERS = 10
UNREPORTED_COLUMNS = ("parameters", "gap", "tokens_per_second", "state", "id")
TEXT_CHARACTERS = 160
EFFECTS = 8
SUSPICIONS = 20
NOISE_CURVES = 48


def report_blocks(material: Material) -> Iterator[Block]:
    """Yield the report in the order a reader wants it."""
    for section in (_run, _won, _overfitting, _by_hyperparameter, _importance, _cost, _text, _promotions, _again):
        yield from section(material)


def _run(material: Material) -> Iterator[Block]:
    yield Heading("What was run")
    state = material.state
    if state.corpus is not None:
        corpus = f"{state.corpus.path}, {state.corpus.characters:,} characters, {state.corpus.vocab_size} symbols"
        yield Paragraph(f"On {corpus}; {_devices(state)}, {state.precision or 'auto'} precision.")
    elif material.n_symbols:
        yield Paragraph(f"Imported from another program's files; a vocabulary of {material.n_symbols} symbols.")
    rows = []
    for phase in material.phases:
        trials = phase.current()
        counts = phase.counts()
        lengths = sorted({trial.settings.max_iters for trial in trials})
        ended = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        seconds = sum(trial.metrics.seconds or 0.0 for trial in trials)
        rows.append(
            (
                phase.name,
                f"{len(trials):,}",
                ended,
                f"{len(phase.excluded):,}",
                " to ".join(f"{n:,}" for n in dict.fromkeys((lengths[0], lengths[-1]))),
                _parameters(trials, material.n_symbols),
                display.duration(seconds),
            )
        )
    head = ("phase", "trials", "ended", "excluded", "iterations", "parameters", "trial time")
    yield Grid(head, tuple(rows), ("phase", "ended"))


def _won(material: Material) -> Iterator[Block]:
    yield Heading("What won")
    phase = material.phases[-1]
    by = ranking_of(phase.current())
    noise = evaluation_noise([material.curves[key_of(t)] for t in rank(phase.current())[:NOISE_CURVES]], by)
    rows = leaderboard(phase.current(), n_symbols=material.n_symbols, noise=noise)
    columns = [column for column in leaderboard_columns(rows, by) if column.name not in UNREPORTED_COLUMNS]
    grid = []
    for row in (row for row in rows[:WINNERS] if row.rank is not None):
        course = overfitting(material.curves[(row.phase, row.id)], material.vocabulary(row.settings))
        grid.append((*(row.text(column.name) for column in columns), course.word if course else display.MISSING))
    if elsewhere := best_elsewhere(material.phases, phase):
        yield Paragraph(elsewhere)
    yield Paragraph(f"The best of {phase.name} by {METRICS[by].label}.")
    yield Grid((*(column.heading for column in columns), "course"), tuple(grid), ("course",))
    if any(row.tied for row in rows[:WINNERS]):
        margin = f" ({noise:.4f})" if noise else ""
        yield Notes((f"= noise cannot tell it from the first of that rank{margin}",))


def _overfitting(material: Material) -> Iterator[Block]:
    yield Heading("Learning or memorising")
    rows = []
    vocabularies = {material.vocabulary(trial.settings) for trial in material.trials}
    vocabulary = vocabularies.pop() if len(vocabularies) == 1 else None
    groups, guess = [], math.log(vocabulary) if vocabulary else None
    for phase in material.phases:
        done = [trial for trial in phase.current() if trial.state == "done"]
        found = [(t, overfitting(material.curves[key_of(t)], material.vocabulary(t.settings))) for t in done]
        courses = [course for _, course in found if course]
        best, last = (_median([t for t, course in found if course], name) for name in (material.best, material.last))
        if best is None or last is None:
            continue
        step = statistics.median(c.best_val_step for c in courses)
        words = [sum(c.course == word for c in courses) for word in ("improving", "flat", "overfitting")]
        worse = sum(c.worse_than_guessing for c in courses)
        rows.append((phase.name, f"{best:.2f}", f"{step:,.0f}", f"{last:.2f}", *map(str, words), str(worse)))
        if guess is not None and last > guess:
            told = f"{phase.name} ends worse than a uniform guess ({last:.2f} against {guess:.2f})"
            yield Paragraph(f"{told}; its best, {best:.2f}, was near step {step:,.0f}.")
        groups.append((phase.name, *median_course([material.curves[key_of(trial)] for trial in done], material.last)))
    is_loss = material.last == "val_loss"
    best_head, last_head = ("best validation", "last validation") if is_loss else ("best bits/char", "last bits/char")
    head = ("phase", best_head, "at step", last_head, "improving", "flat", "overfitting")
    medians = "Validation losses" if is_loss else "Bits per character"
    yield Paragraph(f"{medians} are medians over the trials that are done; the rest counts trials.")
    yield Grid((*head, "worse than guessing"), tuple(rows), ("phase",))
    yield from baseline_blocks(material.baselines, material.trials)
    if groups:
        yield charts.courses_chart(groups, guess, material.levels, "loss" if is_loss else METRICS[material.last].label)


def _by_hyperparameter(material: Material) -> Iterator[Block]:
    yield Heading("By hyperparameter")
    yield Paragraph(
        "Lines end where the set of trials changes, because means over different trials do not compare. "
        "The tables compare each value with the others on otherwise equal settings."
    )
    try:
        factors = design(material.trials, material.best).factors
    except InputError as error:
        yield Paragraph(str(error))
        return
    for factor in factors:
        name = "n_embd" if "n_embd" in factor.members else factor.members[0]
        if factor.members[1:]:
            yield Paragraph(f"{factor.name} go together; by {name}:")
        for figure in ("train_loss", "val_loss") if material.last == "val_loss" else (material.last,):
            found = bands(material.trials, material.curves, name, figure)
            if any(band.segments for band in found):
                yield charts.bands_chart(found, name, figure, METRICS[figure].label)
        rows = matched(material.trials, name, material.best)
        if rows:
            cells = tuple((display.value(r.value), f"{r.mean:.3f}", r.against, f"{r.settings:,}") for r in rows)
            yield Grid((name, METRICS[material.best].label, "against the others", "settings"), cells)
        else:
            yield Paragraph(unmatched(material.trials, name))


def _importance(material: Material) -> Iterator[Block]:
    yield Heading("What mattered")
    notes: dict[str, None] = {}
    try:
        others = ("loss", "loss and time") if material.last == "val_loss" else ()  # a minibatch's loss is a token's
        for target in (*others, material.best):
            if not _has_figures(material, target):
                continue
            for method in (importance.forest, importance.permutation):
                found = method(material.trials, target)
                notes |= dict.fromkeys(found.notes)
                yield charts.importance_chart(found)
        variance = anova(material.trials, material.best)
        effects = tuple((effect.name, f"{effect.share:.1%}") for effect in variance.effects[:EFFECTS])
        rest = variance.rest + sum(effect.share for effect in variance.effects[EFFECTS:])
        what = METRICS[material.best].label
        over = f"over {variance.cells:,} settings of {variance.phase}"
        yield Paragraph(f"Exact analysis of the variance of the {what}, {over}.")
        yield Grid(("effect", "share"), (*effects, ("everything else", f"{rest:.1%}")), ("effect",))
        notes |= dict.fromkeys(variance.notes)
    except InputError as error:
        yield Paragraph(str(error))
    if notes:
        yield Notes(tuple(notes))


def _cost(material: Material) -> Iterator[Block]:
    yield Heading("What it cost")
    total = sum(trial.metrics.seconds or 0.0 for trial in material.trials)
    yield Paragraph(f"All trials together took {display.duration(total)} of trial time.")
    best = material.best
    ranked = [(phase.name, rank(phase.current(), best)) for phase in material.phases]
    groups = [(name, [_point(trial, best) for trial in trials if trial.metrics.seconds]) for name, trials in ranked]
    front = pareto_front(material.trials, best)
    if front:
        yield charts.front_chart(groups, [_point(trial, best) for trial in front], METRICS[best].label)
    found = suspicious(material.trials, material.curves, material.n_symbols)
    kinds: dict[str, list[str]] = defaultdict(list)
    for suspicion in found:
        kinds[suspicion.kind].append(f"{suspicion.phase}/{suspicion.trial}: {suspicion.words}")
    for kind, lines in kinds.items():
        yield Paragraph(f"{kind}: {len(lines):,} trials")
        yield Notes((*lines[:SUSPICIONS], *([f"and {len(lines) - SUSPICIONS:,} more"] if lines[SUSPICIONS:] else [])))


def _text(material: Material) -> Iterator[Block]:
    yield Heading("What a loss reads like")
    rungs = read_rungs(material.folder, material.trials, material.last, CopyMeter(material.folder, material.state))
    if not rungs:
        yield Paragraph("No samples were written.")
        return
    known = any(rung.copied for rung in rungs)
    head = ("phase", METRICS[material.last].label, *(("copied", "longest", "control") if known else ()), "text")
    chosen = ladder(rungs)
    rows = [(r.trial.phase, f"{r.loss:.3f}", *_copied(r, known), r.sample.text[:TEXT_CHARACTERS]) for r in chosen]
    yield Grid(head, tuple(rows), ("text", "phase"))
    if not known:
        yield Notes(("Memorisation is unknown: the corpus is not at hand.",))
        return
    yield Heading("Memorised")
    yield Paragraph(
        "copied: the share of a sample's words that are in passages of at least 8 words from the training text; "
        "longest: the words of the longest passage; control: the same share for the validation text. If spaces do not "
        "separate the words of a text, characters are counted, in passages of at least 40."
    )
    copies = [r for r in rungs if r.copied and r.copied.share]
    yield Paragraph(f"{len(copies):,} of {len(rungs):,} samples copy anything.")
    if not copies:
        return
    worst = sorted(copies, key=lambda r: -r.copied.share if r.copied else 0.0)[:WINNERS]
    rows = [(r.trial.phase, f"{r.loss:.3f}", *_copied(r), r.trial.id) for r in worst]
    yield Grid((*head[:-1], "trial"), tuple(rows), ("trial", "phase"))


def _promotions(material: Material) -> Iterator[Block]:
    yield Heading("What was promoted, and whether the cut was safe")
    cuts = cut_safety(material.state)
    if not cuts:
        yield Paragraph("No two phases have settings in common.")
    for cut in cuts:
        promotion = material.state.phases[cut.target].promotion
        rule = f"the {promotion.top} best by {promotion.by}, {promotion.how}" if promotion else "no promotion on record"
        correlation = "-" if cut.correlation is None else f"{cut.correlation:.2f}"
        yield Paragraph(
            f"{cut.source} to {cut.target} ({rule}): rank correlation {correlation} by {cut.by} over {cut.common:,} "
            f"settings. {cut.sentence()}"
        )


def _again(material: Material) -> Iterator[Block]:
    yield Heading("How to reproduce it")
    state = material.state
    versions = ", ".join(f"{name} {version}" for name, version in state.versions.items())
    yield Paragraph(f"Versions: {versions or 'not on record'}. Devices: {_devices(state)}.")
    if state.corpus is not None:
        yield Paragraph(f"Corpus: SHA-256 {state.corpus.sha256}")
    try:
        yield Listing(material.folder.snapshot.read_text(encoding="utf-8"))
    except OSError:
        yield Paragraph("The results hold no study file.")


def _has_figures(material: Material, target: str) -> bool:
    return any(all(trial.metrics.value(name) is not None for name in TARGETS[target]) for trial in material.trials)


def _devices(state: StudyState) -> str:
    return ", ".join(dict.fromkeys(state.devices)) or "not on record"


def _copied(rung: Rung, known: bool = True) -> tuple[str, ...]:
    if rung.copied is None:
        return ("-", "-", "-") if known else ()
    return (f"{rung.copied.share:.0%}", str(rung.copied.longest), f"{rung.copied.validation_share:.0%}")


def _point(trial: TrialState, loss: str) -> tuple[float, float]:
    return (trial.metrics.seconds or 0.0, trial.metrics.value(loss) or 0.0)


def _median(trials: Sequence[TrialState], figure: str) -> float | None:
    known = [value for trial in trials if (value := trial.metrics.value(figure)) is not None]
    return statistics.median(known) if known else None


def _parameters(trials: Sequence[TrialState], n_symbols: int | None) -> str:
    if n_symbols is None:
        return "-"
    counts = [parameter_count(trial.settings, n_symbols) for trial in trials]
    return display.short_range(min(counts), max(counts))
