"""Preview of a study file's text: its trials, their cost, and the first mistake. It may take seconds to compute."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from litegpt.analysis.promote import exclusion_reasons
from litegpt.errors import InputError
from litegpt.estimate.cost import cost_bound, parameter_count, training_flops
from litegpt.results.forecast import Forecast
from litegpt.results.state import StudyState
from litegpt.run.phases import resolve_study
from litegpt.study.document import Document
from litegpt.study.expand import Expansion, check_size, expand
from litegpt.study.phase import Phase, Promotion
from litegpt.study.study import Study, parse_study
from litegpt.study.tables import read_phase, read_settings
from litegpt.text.corpus import read_corpus

COUNTED_MAX = 20_000
"""Up to this many permutations are listed while the user types. Listing more takes seconds; they are only counted."""


@dataclass(frozen=True)
class PhasePreview:
    """One phase. A phase whose promotion is still open has only upper bounds (`is_bound`)."""

    name: str
    permutations: int | None = None
    # None means unknown, or too many to list.
    trials: int | None = None
    is_bound: bool = False
    excluded: int = 0
    illegal: int = 0
    # Why permutations are excluded or illegal, each reason with its count, the most frequent first.
    reasons: tuple[tuple[str, int], ...] = ()
    promotion: Promotion | None = None
    # Trials with results, in this phase or in another one with the same settings.
    done: int = 0
    parameters: tuple[int, int] | None = None
    # The FLOPs that are left to train, and the seconds for them at the speed measured so far.
    flops: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class StudyPreview:
    """All phases of a study; `problem` is the first mistake in it."""

    phases: tuple[PhasePreview, ...] = ()
    problem: str | None = None

    @property
    def seconds(self) -> float | None:
        """The seconds for all phases; None if one of them is unknown."""
        known = [phase.seconds for phase in self.phases if phase.seconds is not None]
        return sum(known) if known and len(known) == len(self.phases) else None


class Previewer:
    """Computes previews; remembers the vocabulary of each corpus."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._vocabularies: dict[str, int | None] = {}

    def preview(self, text: str, state: StudyState) -> StudyPreview:
        """Return the preview of a text, given the results so far."""
        try:
            if any(size > COUNTED_MAX for size in grid_sizes(text)):
                phases = tuple(_partial(text, self._path))
                for phase in phases:
                    check_size(phase.permutations or 0, phase.name)
                return StudyPreview(phases)
            study = parse_study(text, self._path)
        except InputError as error:
            return StudyPreview(tuple(_partial(text, self._path)), str(error))
        n_symbols, problem = self._vocabulary(study, state)
        resolved = resolve_study(study, state)
        phases = tuple(self._phase(study, phase, resolved, state, n_symbols) for phase in study.phases)
        return StudyPreview(phases, problem)

    def _phase(
        self, study: Study, phase: Phase, resolved: dict[str, Expansion], state: StudyState, n_symbols: int | None
    ) -> PhasePreview:
        expansion, bound = resolved.get(phase.name), study.bounds[phase.name]
        forecast = Forecast.of(state, study.split)
        if expansion is None:
            cost = cost_bound(bound, n_symbols) if n_symbols else None
            candidates = bound.candidates.trials if bound.candidates else ()
            return PhasePreview(
                phase.name,
                permutations=bound.trials_max,
                trials=bound.trials_max,
                is_bound=True,
                promotion=phase.promotion,
                parameters=(cost.parameters_min, cost.parameters_max) if cost else None,
                flops=cost.flops if cost else None,
                seconds=forecast.seconds(candidates, state, bound.trials_max) if candidates else None,
            )
        own = state.phases.get(phase.name)
        ended = {trial.id for trial in own.trials.values() if not trial.is_waiting} if own else set()
        ended |= {trial.id for trial in state.trials() if trial.state == "done"}
        left = [trial for trial in expansion.trials if trial.id not in ended]
        flops = sum(training_flops(trial, n_symbols) for trial in left) if n_symbols else None
        sizes = [parameter_count(trial, n_symbols) for trial in expansion.trials] if n_symbols else []
        return replace(
            _counted(phase.name, expansion),
            promotion=phase.promotion,
            done=len(expansion.trials) - len(left),
            parameters=(min(sizes), max(sizes)) if sizes else None,
            flops=flops,
            seconds=forecast.seconds(left, state),
        )

    def _vocabulary(self, study: Study, state: StudyState) -> tuple[int | None, str | None]:
        if state.corpus is not None:
            return state.corpus.vocab_size, None
        where = study.corpus_location
        if where not in self._vocabularies:
            try:
                self._vocabularies[where] = len(read_corpus(study.corpus, study.corpus_base).symbols)
            except InputError as error:
                return None, str(error)
        return self._vocabularies[where], None


def grid_sizes(text: str) -> list[int]:
    """Count the permutations of each phase's own grid without listing them. InputError: the text is not TOML."""
    phases = Document(text, Path("study.toml")).data.get("phase", [])
    return [_size(table) for table in phases] if isinstance(phases, list) else []


def _size(table: object) -> int:
    grid = table.get("grid") if isinstance(table, dict) else None
    return math.prod(len(v) if isinstance(v, list) else 1 for v in grid.values()) if isinstance(grid, dict) else 0


def _counted(name: str, expansion: Expansion) -> PhasePreview:
    illegal = sum(exclusion.illegal for exclusion in expansion.excluded)
    return PhasePreview(
        name,
        permutations=len(expansion.trials) + len(expansion.excluded),
        trials=len(expansion.trials),
        excluded=len(expansion.excluded) - illegal,
        illegal=illegal,
        reasons=tuple(exclusion_reasons(expansion.excluded)),
    )


def _partial(text: str, path: Path) -> list[PhasePreview]:
    """Return what is known about the phases of a text that is not a valid study."""
    try:
        document = Document(text, path)
        tables = document.tables(document.data.get("phase", []), "phase")
        defaults = read_settings(document, document.table(document.data.get("defaults", {}), "defaults"), "defaults")
    except InputError:
        return []
    names = [str(table.get("name", "?")) for table in tables]
    known: dict[str, Phase] = {}
    previews = []
    for index, table in enumerate(tables):
        size = _size(table) or None
        try:
            phase = known[names[index]] = read_phase(document, index, table, defaults, names, known)
            expansion = expand(phase) if size is None or size <= COUNTED_MAX else None
        except (InputError, KeyError):
            expansion = None
        unknown = PhasePreview(names[index], permutations=size)
        previews.append(unknown if expansion is None else _counted(names[index], expansion))
    return previews
