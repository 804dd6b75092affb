"""The report of a study: trials, winners, importance, cost, samples and reproduction.

Import it late: it loads matplotlib, pandas and scikit-learn.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from litegpt import display
from litegpt.analysis import charts, importance
from litegpt.analysis.anova import anova
from litegpt.analysis.bands import bands, matched, median_course, unmatched
from litegpt.analysis.baselines import FULL_CONTEXT, Baselines, baseline_levels, study_baselines
from litegpt.analysis.curves import Curves, key_of, read_curves
from litegpt.analysis.cut import cut_safety
from litegpt.analysis.design import TARGETS, design
from litegpt.analysis.evaluation_noise import evaluation_noise, noise_sample
from litegpt.analysis.findings import pareto_front, suspicious
from litegpt.analysis.imported import imported_vocab_size
from litegpt.analysis.ladder import ladder, rank_samples, sample_metrics
from litegpt.analysis.leaderboard import best_elsewhere, leaderboard, leaderboard_columns, tie_note
from litegpt.analysis.overfitting import overfitting
from litegpt.analysis.page import Block, ChartBlock, Grid, Heading, Listing, Notes, Paragraph, to_html, to_markdown
from litegpt.analysis.study_text import CopyMeter
from litegpt.errors import InputError
from litegpt.estimate.cost import parameter_count
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metric import METRICS
from litegpt.results.ranking import measured, rank, ranking_of
from litegpt.results.samples import Copied, Sample, read_samples
from litegpt.results.state import PhaseState, StudyState, TrialState
from litegpt.study.document import read_text
from litegpt.study.phase import default_ranking
from litegpt.study.trial import Trial, vocabulary_size

WINNERS = 10
UNREPORTED_COLUMNS = ("parameters", "gap", "tokens_per_second", "state", "id")
TEXT_CHARACTERS = 160
COPIED_HEADINGS = ("copied", "longest", "same in validation")
EFFECTS = 8
SUSPICIONS = 20


@dataclass(frozen=True)
class Material:
    """All results of a study."""

    folder: StudyFolder
    state: StudyState
    phases: tuple[PhaseState, ...]  # with at least one finished trial
    trials: tuple[TrialState, ...]
    curves: Curves
    n_symbols: int | None  # number of different characters of the text
    baselines: Baselines | None = None

    @cached_property
    def best(self) -> str:
        """The metric by which trials of all phases compare."""
        return ranking_of(self.trials)

    @property
    def last(self) -> str:
        """The same metric at each evaluation."""
        return METRICS[self.best].curve.name

    @property
    def levels(self) -> Baselines:
        """The baselines in that metric."""
        return baseline_levels(self.baselines, [trial.settings for trial in self.trials], self.best)

    def vocabulary(self, trial: Trial) -> int | None:
        """Return the vocabulary size of a trial's model, None if it is unknown."""
        return vocabulary_size(trial, self.n_symbols or 0) or None


def read_material(folder: StudyFolder) -> Material:
    """Read the results for a report. InputError: no trial is done."""
    state = read_journal(folder.journal)
    phases = tuple(phase for phase in state.phases.values() if phase.counts()["done"])
    if not phases:
        raise InputError("no trial is done yet", folder.path)
    trials = tuple(trial for phase in phases for trial in phase.current())
    n_symbols = state.corpus.vocab_size if state.corpus else imported_vocab_size(folder.journal)
    baselines = study_baselines(folder, state)
    return Material(folder, state, phases, trials, read_curves(folder, trials), n_symbols, baselines)


def write_report(folder: StudyFolder, out: Path) -> list[Path]:
    """Write the self-contained `report.html`, and `report.md` with `charts/`; return the files.

    InputError: no trial is done.
    """
    material = read_material(folder)
    title = f"{material.state.study or folder.study}: report"
    blocks = list(report_blocks(material))
    (out / "charts").mkdir(parents=True, exist_ok=True)
    files = {out / "report.html": to_html(title, blocks), out / "report.md": to_markdown(title, blocks)}
    files |= {out / "charts" / f"{block.name}.svg": block.file for block in blocks if isinstance(block, ChartBlock)}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def report_blocks(material: Material) -> Iterator[Block]:
    """Yield the blocks of the report from top to bottom."""
    for section in (
        _run,
        _won,
        _overfitting,
        _by_hyperparameter,
        _importance,
        _cost,
        _text,
        _promotions,
        _reproduction,
    ):
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
    noise = evaluation_noise([material.curves[key_of(t)] for t in noise_sample(phase.current(), by)], by)
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
    if note := tie_note(rows[:WINNERS]):
        yield Notes((note,))


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
            verdict = f"{phase.name} ends worse than a uniform guess ({last:.2f} against {guess:.2f})"
            yield Paragraph(f"{verdict}; its best, {best:.2f}, was near step {step:,.0f}.")
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


def baseline_blocks(baselines: Baselines | None, trials: Sequence[TrialState]) -> Iterator[Block]:
    """Yield the section on baselines; nothing without any."""
    if not baselines:
        return
    only_characters = all(trial.settings.tokenizer == "char" for trial in trials)
    metric = METRICS[default_ranking(not only_characters)]
    values = [value for _, value in measured((trial for trial in trials if trial.state == "done"), metric.name)]
    levels = baseline_levels(baselines, (), metric.name)
    yield Paragraph(
        "Baselines on the same validation text: n-grams of characters with Kneser-Ney smoothing, which only count. The "
        f"{FULL_CONTEXT}."
    )
    rows = tuple(
        (name, f"{level:.4f}", f"{sum(value < level for value in values):,} of {len(values):,}")
        for name, level in levels.items()
    )
    yield Grid(("baseline", metric.curve.label, "trials that beat it"), rows, ("baseline",))


def _by_hyperparameter(material: Material) -> Iterator[Block]:
    yield Heading("By hyperparameter")
    yield Paragraph(
        "A line stops where a phase ends, because the averaged trials change. The tables compare each value with the "
        "others on otherwise equal settings, phase by phase: an effect can change with the length of the training. "
        "± is a 95 % interval by Student's t."
    )
    is_imported = material.state.corpus is None
    try:
        factors = design(material.trials, material.best).factors
    except InputError as error:
        yield Paragraph(str(error))
        return
    for factor in factors:
        name = "n_embd" if "n_embd" in factor.members else factor.members[0]
        if factor.members[1:]:
            yield Paragraph(f"{factor.name} go together; by {name}:")
        for metric in (
            ("train_loss", "val_loss", "seconds") if material.last == "val_loss" else (material.last, "seconds")
        ):
            found = bands(material.trials, material.curves, name, metric)
            if any(band.segments for band in found):
                # The original study's charts have this axis.
                yield charts.bands_chart(found, name, metric, METRICS[metric].label, is_symlog=is_imported)
        rows = [row for phase in material.phases for row in _effects(phase, name, material.best)]
        if rows:
            head = ("phase", name, METRICS[material.best].label, "against the others", "time", "settings")
            yield Grid(head, tuple(rows), ("phase",))
        else:
            yield Paragraph(unmatched(material.trials, name))


def _effects(phase: PhaseState, name: str, metric: str) -> list[tuple[str, ...]]:
    """Return one row per value of a hyperparameter in a phase: its mean, its effect and the mean trial time."""
    trials = phase.current()
    seconds = {row.value: row.mean for row in matched(trials, name, "seconds")}
    return [
        (
            phase.name,
            display.value(row.value),
            f"{row.mean:.3f}",
            row.against,
            display.duration(seconds.get(row.value)),
            f"{row.settings:,}",
        )
        for row in matched(trials, name, metric)
    ]


def _importance(material: Material) -> Iterator[Block]:
    yield Heading("What mattered")
    notes: dict[str, None] = {}
    try:
        others = ("loss", "loss and time") if material.last == "val_loss" else ()  # the minibatch loss is per token
        for target in (*others, material.best):
            if not _has_figures(material, target):
                continue
            for method in (importance.forest, importance.permutation):
                found = method(material.trials, target)
                notes |= dict.fromkeys(found.notes)
                yield charts.importance_chart(found)
            if "seconds" in TARGETS[target]:
                notes |= dict.fromkeys(_time_artefacts(material))
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


def _time_artefacts(material: Material) -> tuple[str, ...]:
    """Name the hyperparameters that seem to matter for the time only because a few trials hung."""
    try:
        variance = anova(material.trials, "seconds")
    except InputError:
        variance = None
    alone = importance.forest(material.trials, "seconds")
    return importance.disagreements(alone, importance.permutation(material.trials, "seconds"), variance)


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
    yield Heading("Samples by loss")
    samples = [(trial, read_samples(material.folder.trial(trial.phase, trial.id).samples)) for trial in material.trials]
    ranked = [entry for entry in rank_samples(samples, material.last) if entry.value is not None]
    if not ranked:
        yield Paragraph("No samples were written.")
        return
    meter = CopyMeter(material.folder, material.state)
    copied = {id(entry): meter.measure(entry.sample) for entry in ranked}
    is_measured = any(copied.values())
    head = ("phase", METRICS[material.last].label, *(COPIED_HEADINGS if is_measured else ()), "text")
    rows = [
        (
            entry.trial.phase,
            f"{entry.value:.3f}",
            *(_copied(copied[id(entry)]) if is_measured else ()),
            entry.sample.text[:TEXT_CHARACTERS],
        )
        for entry in ladder(ranked)
    ]
    yield Grid(head, tuple(rows), ("text", "phase"))
    yield from _text_by_training(material, samples, meter)
    if not is_measured:
        yield Notes(("Memorisation is unknown, because the corpus is missing.",))
        return
    yield Heading("Memorised")
    yield Paragraph(
        "copied: the share of a sample's words inside passages of at least 8 words that are copied from the training "
        "text; longest: the words of the longest passage; same in validation: the same share for the validation text."
    )
    copies = [(measured.share, entry) for entry in ranked if (measured := copied[id(entry)]) and measured.share]
    yield Paragraph(f"{len(copies):,} of {len(ranked):,} samples copy anything.")
    if not copies:
        return
    worst = [entry for _, entry in sorted(copies, key=lambda pair: -pair[0])[:WINNERS]]
    rows = [(e.trial.phase, f"{e.value:.3f}", *_copied(copied[id(e)]), e.trial.id) for e in worst]
    yield Grid((*head[:-1], "trial"), tuple(rows), ("trial", "phase"))


def _text_by_training(
    material: Material, samples: Sequence[tuple[TrialState, Sequence[Sample]]], meter: CopyMeter
) -> Iterator[Block]:
    """Yield the samples once more by losses of the training text, for a study that overfits.

    There the validation loss puts memorised prose before gibberish.
    """
    for metric in sample_metrics(material.trials)[1:]:
        rows = [
            (entry.trial.phase, f"{entry.value:.3f}", *_copied(meter.measure(entry.sample))[:1], entry.sample.text)
            for entry in ladder(rank_samples(samples, metric, material.curves))
        ]
        if rows:
            yield Paragraph(f"The same by {METRICS[metric].label}:")
            cells = tuple((*row[:-1], row[-1][:TEXT_CHARACTERS]) for row in rows)
            yield Grid(("phase", METRICS[metric].label, "copied", "text"), cells, ("text", "phase"))


def _promotions(material: Material) -> Iterator[Block]:
    yield Heading("What was promoted, and whether the cut was safe")
    cuts = cut_safety(material.state)
    if not cuts:
        yield Paragraph("No two phases have settings in common.")
    for cut in cuts:
        correlation = "-" if cut.correlation is None else f"{cut.correlation:.2f}"
        common = f"rank correlation {correlation} by {cut.by} over {cut.common:,} settings"
        yield Paragraph(f"{cut.source} to {cut.target} ({cut.rule}): {common}. {cut.sentence()}")


def _reproduction(material: Material) -> Iterator[Block]:
    yield Heading("How to reproduce it")
    state = material.state
    versions = ", ".join(f"{name} {version}" for name, version in state.versions.items())
    yield Paragraph(f"Versions: {versions or 'not on record'}. Devices: {_devices(state)}.")
    if state.corpus is not None:
        yield Paragraph(f"Corpus: SHA-256 {state.corpus.sha256}")
    try:
        yield Listing(read_text(material.folder.snapshot, follow_links=False))
    except InputError:
        yield Paragraph("The results hold no study file.")


def _has_figures(material: Material, target: str) -> bool:
    return any(all(trial.metrics.value(name) is not None for name in TARGETS[target]) for trial in material.trials)


def _devices(state: StudyState) -> str:
    return ", ".join(dict.fromkeys(state.devices)) or "not on record"


def _copied(copied: Copied | None) -> tuple[str, ...]:
    if copied is None:
        return (display.MISSING,) * len(COPIED_HEADINGS)
    return (f"{copied.share:.0%}", str(copied.longest), f"{copied.validation_share:.0%}")


def _point(trial: TrialState, loss: str) -> tuple[float, float]:
    return (trial.metrics.seconds or 0.0, trial.metrics.value(loss) or 0.0)


def _median(trials: Sequence[TrialState], metric: str) -> float | None:
    known = [value for trial in trials if (value := trial.metrics.value(metric)) is not None]
    return statistics.median(known) if known else None


def _parameters(trials: Sequence[TrialState], n_symbols: int | None) -> str:
    if n_symbols is None:
        return "-"
    counts = [parameter_count(trial.settings, n_symbols) for trial in trials]
    return display.short_range(min(counts), max(counts))
