"""Preview of a promotion: the phase that the dialog would write, its trials and their cost. It takes a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from litegpt.analysis.cut import ties_at_cut
from litegpt.analysis.evaluation_noise import evaluation_noise
from litegpt.analysis.promote import incomparable, preview_promotion
from litegpt.errors import InputError
from litegpt.estimate.cost import parameter_count, training_flops
from litegpt.results.forecast import Forecast
from litegpt.results.ranking import rank
from litegpt.results.state import StudyState, TrialState
from litegpt.study.document import read_text
from litegpt.study.edit.append import append_chosen
from litegpt.study.edit.phase_text import free_phase_name
from litegpt.study.expand import expand
from litegpt.study.phase import Exclusion, Promotion
from litegpt.study.study import Study, parse_study
from litegpt.study.trial import Trial
from tui.curve import Curve
from tui.location import StudyLocation


@dataclass(frozen=True)
class PromotionQuestion:
    """The choices of the dialog, and the study they are about."""

    location: StudyLocation
    state: StudyState
    phase: str
    # The trials to promote; None promotes the `top` best.
    marked: frozenset[str] | None
    top: int
    by: str
    how: str
    start: str
    # Curves of the best trials, for the noise of the ranking; empty until they have been read.
    curves: tuple[Curve, ...]
    # None while the phase has no finished trial to derive the length from, and the user has not typed one.
    max_iters: int | None

    def trials(self) -> list[TrialState]:
        """Return the trials of the phase that is promoted from."""
        phase = self.state.phases.get(self.phase)
        return phase.current() if phase else []


@dataclass(frozen=True)
class PromotionCost:
    """The size of the new trials, and the cost of training them."""

    parameters: tuple[int, int]
    flops: float
    # None until the study's speed has been measured.
    seconds: float | None


@dataclass(frozen=True)
class PromotionPreview:
    """The new phase. If the choices do not go together, only `problem` is set."""

    name: str = ""
    trials: tuple[Trial, ...] = ()
    excluded: Sequence[Exclusion] = ()
    rule: str = ""
    # The study file as it is, and as it would be.
    original: str = ""
    text: str = ""
    # Trials of the source phase that could still change the promotion.
    unfinished: int = 0
    cost: PromotionCost | None = None
    warnings: tuple[str, ...] = ()
    problem: str | None = None


def preview_choices(question: PromotionQuestion) -> PromotionPreview:
    """Compute the preview of some choices."""
    try:
        return _preview(question)
    except InputError as error:
        return PromotionPreview(problem=str(error))


def _preview(question: PromotionQuestion) -> PromotionPreview:
    path = question.location.study_path
    if path is None:
        raise InputError("there is no study file to write the phase into")
    if path == question.location.folder.snapshot:
        raise InputError("this is a run's own copy of its study; open the study file to promote")
    original = read_text(path)
    study = parse_study(original, path)
    if question.max_iters is None:
        raise InputError(f"phase '{question.phase}' has no finished trial yet: how many iterations?")
    ranked = rank(question.trials(), question.by)
    marked = question.marked
    # Marked trials that are just the best ones are written as a rule, which stays true when the study is rerun.
    if marked is not None and marked != {trial.id for trial in ranked[: len(marked)]}:
        chosen = [trial for trial in ranked if trial.id in marked]
        return _preview_chosen(question, study, original, chosen, question.max_iters)
    if question.start == "checkpoint" and question.how != "exact":
        raise InputError("only 'exact' can start from a checkpoint: a new grid has no weights to continue from")
    top = question.top if marked is None else len(marked)
    promotion = Promotion(question.phase, top, by=question.by, how=question.how, start=question.start)
    preview = preview_promotion(study, original, question.state, promotion, max_iters=question.max_iters)
    return PromotionPreview(
        name=preview.phase,
        trials=preview.trials,
        excluded=preview.excluded,
        rule=f"the {top} best of {question.phase} by {promotion.by}",
        original=original,
        text=preview.text,
        unfinished=preview.unfinished,
        cost=_cost(question.state, preview.trials),
        warnings=(*_warnings(question), *_tie_warnings(question, top)),
    )


def _preview_chosen(
    question: PromotionQuestion, study: Study, original: str, chosen: Sequence[TrialState], max_iters: int
) -> PromotionPreview:
    """Preview marked trials that no rule selects. They are written out one by one."""
    if not chosen:
        raise InputError("none of the marked trials is finished")
    if question.start == "checkpoint":
        raise InputError("marked trials start from scratch: only a rule (the best n) can start from their weights")
    name = free_phase_name(phase.name for phase in study.phases)
    rule = f"{len(chosen)} marked trials of {question.phase}, {question.how}"
    settings = [trial.settings for trial in chosen]
    text = append_chosen(study, original, name, settings, question.how, max_iters, rule)
    expansion = expand(parse_study(text, study.path).phase(name))
    trials = expansion.trials if expansion else ()
    return PromotionPreview(
        name=name,
        trials=trials,
        excluded=expansion.excluded if expansion else (),
        rule=rule,
        original=original,
        text=text,
        cost=_cost(question.state, trials),
        warnings=_warnings(question),
    )


def _warnings(question: PromotionQuestion) -> tuple[str, ...]:
    warning = incomparable(question.by, question.trials())
    return (warning,) if warning else ()


def _tie_warnings(question: PromotionQuestion, top: int) -> tuple[str, ...]:
    noise = evaluation_noise(question.curves, question.by)
    ties = ties_at_cut(question.trials(), question.by, top, noise)
    return (ties.sentence(),) if ties else ()


def _cost(state: StudyState, trials: Sequence[Trial]) -> PromotionCost | None:
    if state.corpus is None or not trials:
        return None
    n_symbols = state.corpus.vocab_size
    flops = sum(training_flops(trial, n_symbols) for trial in trials)
    sizes = [parameter_count(trial, n_symbols) for trial in trials]
    return PromotionCost((min(sizes), max(sizes)), flops, Forecast.of(state).seconds(trials, state))
