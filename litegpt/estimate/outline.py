"""The plan of a study in numbers, as `litegpt plan` shows it, and its JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litegpt.estimate.cost import Cost, cost_bound, total_cost
from litegpt.study.expand import Expansion
from litegpt.study.phase import Phase, Promotion
from litegpt.study.study import Study
from litegpt.study.trial import Trial


@dataclass(frozen=True)
class PhaseOutline:
    """The numbers of one phase. While a phase waits for its source, `trials` is None and the cost is an upper bound."""

    name: str
    trials: int | None
    trials_max: int
    excluded: int  # 0 while the phase waits for its source
    reasons: tuple[tuple[str, int], ...]  # reasons for exclusions, with their counts
    max_iters: int | None  # the largest; None while the trials are unknown
    cost: Cost | None
    promotion: Promotion | None
    candidates: tuple[Trial, ...]  # its trials, or all that are possible

    def plain(self) -> dict[str, Any]:
        """Return the record of `litegpt plan --json`."""
        record: dict[str, Any] = {"name": self.name, "trials": self.trials}
        if self.trials is None:
            record["trials_max"] = self.trials_max
        return record | {
            "excluded": self.excluded,
            "max_iters": self.max_iters,
            "parameters_min": self.cost.parameters_min if self.cost else None,
            "parameters_max": self.cost.parameters_max if self.cost else None,
            "flops": self.cost.flops if self.cost else None,
            "from": self.promotion.source if self.promotion else None,
        }


@dataclass(frozen=True)
class Outline:
    """The numbers of a whole study."""

    study: str
    phases: tuple[PhaseOutline, ...]

    def plain(self) -> dict[str, Any]:
        """Return the record of `litegpt plan --json`."""
        return {"study": self.study, "phases": [phase.plain() for phase in self.phases]}


def outline(study: Study, n_symbols: int, resolved: Mapping[str, Expansion] | None = None) -> Outline:
    """Return the outline of a study. `resolved` has the expansions, by phase name, of promotions that are known."""
    return Outline(study.name, tuple(_phase(study, phase, n_symbols, resolved or {}) for phase in study.phases))


def _phase(study: Study, phase: Phase, n_symbols: int, resolved: Mapping[str, Expansion]) -> PhaseOutline:
    bound = study.bounds[phase.name]
    expansion = resolved.get(phase.name) or (bound.candidates if phase.promotion is None else None)
    known = expansion or bound.candidates
    reasons = Counter(exclusion.reason for exclusion in expansion.excluded) if expansion else Counter()
    return PhaseOutline(
        name=phase.name,
        trials=len(expansion.trials) if expansion else None,
        trials_max=len(expansion.trials) if expansion else bound.trials_max,
        excluded=reasons.total(),
        reasons=tuple(reasons.items()),
        max_iters=max((trial.max_iters for trial in known.trials), default=None) if known else None,
        cost=total_cost(expansion.trials, n_symbols) if expansion else cost_bound(bound, n_symbols),
        promotion=phase.promotion,
        candidates=known.trials if known else (),
    )
