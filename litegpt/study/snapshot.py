"""The snapshot of a study that a run leaves in its results: the study as it ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litegpt.study.expand import Expansion
from litegpt.study.expression import Expression
from litegpt.study.hyperparameter import Value
from litegpt.study.phase import Phase
from litegpt.study.settings import Setting
from litegpt.study.split import SPLIT_MODES
from litegpt.study.study import Study


def snapshot(study: Study, expansions: Mapping[str, Expansion]) -> str:
    """Return the study as it runs, as a study file with the absolute path of the corpus and all known grids.

    A grid that a promotion has spanned is written beside the promotion, so that the snapshot reads as the same study.
    """
    import tomli_w  # imported here, because planning does not need it

    document = {
        "study": {
            "name": study.name,
            "corpus": study.corpus_location,
            **{key: value for key, value in study.split.keys.items() if value != SPLIT_MODES[0]},
            "keep": study.keep,
        },
        "defaults": _plain(study.defaults),
        "phase": [_phase_table(phase, expansions.get(phase.name)) for phase in study.phases],
    }
    counts = [f"# {phase.name}: {_count(expansions.get(phase.name))}\n" for phase in study.phases]
    return f"# The study as it ran.\n{''.join(counts)}\n{tomli_w.dumps(document)}"


def _count(expansion: Expansion | None) -> str:
    if expansion is None:
        return "waits for its promotion"
    return f"{len(expansion.trials):,} trials, {len(expansion.excluded):,} excluded"


def _phase_table(phase: Phase, expansion: Expansion | None) -> dict[str, Any]:
    table: dict[str, Any] = {"name": phase.name, **_plain(phase.fixed)}
    spanned = expansion.axes if expansion is not None else {}
    axes = spanned if spanned and all(spanned.values()) else phase.axes
    if axes:
        table["grid"] = {name: list(values) for name, values in axes.items()}
    if phase.excludes:
        table["exclude"] = [dict(exclude) for exclude in phase.excludes]
    if phase.promotion:
        table["promote"] = phase.promotion.table()
    if phase.listed:
        table["trial"] = [_plain(settings) for settings in phase.listed]
    return table


def _plain(settings: Mapping[str, Setting]) -> dict[str, Value]:
    return {name: rule.source if isinstance(rule, Expression) else rule for name, rule in settings.items()}
