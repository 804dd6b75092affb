"""Promotions: the phase that the best trials of another make, as a preview and as the text of the study file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from litegpt.errors import InputError
from litegpt.results.metric import METRICS
from litegpt.results.ranking import rank
from litegpt.results.state import StudyState, TrialState
from litegpt.study.edit.append import append_phase
from litegpt.study.edit.phase_text import free_phase_name
from litegpt.study.expand import Expansion, expand
from litegpt.study.phase import Exclusion, Promotion, default_ranking
from litegpt.study.study import Study, parse_study
from litegpt.study.trial import Trial, tokens_differ

LONGER = 3  # the first promotion of a study trains this many times as long by default


@dataclass(frozen=True)
class ProposedPhase:
    """The result of a promotion that is not yet written."""

    phase: str
    max_iters: int
    promotion: Promotion
    trials: tuple[Trial, ...]
    excluded: tuple[Exclusion, ...]
    promoted: tuple[str, ...]  # ids of trials of the source, best first
    unfinished: int  # trials of the source that could still change the promotion
    text: str  # the edited study file

    def plain(self) -> dict[str, Any]:
        """Return the record of `litegpt promote --json`."""
        return {
            "rule": self.promotion.table(),
            "phase": self.phase,
            "max_iters": self.max_iters,
            "count": len(self.trials),
            "excluded": len(self.excluded),
            "promoted": list(self.promoted),
            "trials": [trial.settings() for trial in self.trials],
        }


def preview_promotion(
    study: Study,
    text: str,
    state: StudyState,
    promotion: Promotion,
    name: str | None = None,
    max_iters: int | None = None,
) -> ProposedPhase:
    """Preview a promotion. `text` is the study file as read, `state` the results of the study.

    Nothing is written: `litegpt.study.edit.save.save` writes the preview. InputError: the source phase is unknown or
    has no trial to rank, or the new phase would be illegal.
    """
    source = study.phase(promotion.source)
    source_state = state.phases.get(promotion.source)
    ranked = rank(source_state.current(), promotion.by) if source_state else []
    if not ranked or source_state is None:
        raise InputError(f"phase '{source.name}' has no results to rank by {promotion.by}", study.path)
    name = name or free_phase_name(phase.name for phase in study.phases)
    iterations = default_length(state, promotion.source) if max_iters is None else max_iters
    edited = append_phase(text, {"name": name, "max_iters": iterations, "promote": promotion.table()})
    phase = parse_study(edited, study.path).phase(name)
    expansion = expand(phase, [trial.settings for trial in ranked]) or Expansion((), (), {})
    counts = source_state.counts()
    return ProposedPhase(
        phase=name,
        max_iters=iterations,
        promotion=promotion,
        trials=expansion.trials,
        excluded=expansion.excluded,
        promoted=tuple(trial.id for trial in ranked[: promotion.top]),
        unfinished=counts.unfinished,
        text=edited,
    )


def default_length(state: StudyState, source: str) -> int:
    """Return the iterations of a new phase after a phase, by the ratios of the study so far.

    That is the length of a phase that was promoted from the same source. Otherwise, the source is extended as much as
    it extended the phase before it, and the first phase by LONGER. InputError: the source has no trials.
    """
    lengths = {
        name: max(trial.settings.max_iters for trial in phase.current())
        for name, phase in state.phases.items()
        if phase.current()
    }
    if source not in lengths:
        raise InputError(f"phase '{source}' has no trials yet")
    names = list(lengths)
    before = {name: earlier for earlier, name in pairwise(names)}
    before |= {name: phase.promotion.source for name, phase in state.phases.items() if phase.promotion}
    for name in reversed(names):
        if before.get(name) == source and lengths[name] > lengths[source]:
            return lengths[name]
    earlier_length = lengths.get(before.get(source, ""), 0)
    ratio = lengths[source] / earlier_length if 0 < earlier_length < lengths[source] else LONGER
    return _rounded(ratio * lengths[source])


def _rounded(iterations: float) -> int:
    """Round to two digits, as people choose lengths."""
    unit = int(10 ** max(0, len(str(int(iterations))) - 2))
    return round(iterations / unit) * unit


def exclusion_reasons(excluded: Iterable[Exclusion]) -> list[tuple[str, int]]:
    """Return the reasons for which permutations are left out, with their counts, the most frequent first."""
    return Counter(exclusion.reason for exclusion in excluded).most_common()


def incomparable(by: str, trials: Iterable[TrialState]) -> str:
    """Return a warning if trials with different tokenizers would be ranked by a metric per token."""
    if not METRICS[by].per_token or not tokens_differ(trial.settings for trial in trials):
        return ""
    return f"{by} does not compare between tokenizers; {default_ranking(True)} does"
