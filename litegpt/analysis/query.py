"""The filter of a leaderboard: `lr>=3e-4 n_layer:4 state:done -batch_size:32 word @500`.

A term is a field, a comparison (`:` `=` `!=` `<` `<=` `>` `>=`) and a value. `:` accepts several values
(`n_layer:2,4`), a range (`lr:1e-4..3e-4`), or a part of a text. A word without a comparison is searched for in phase
and id. `-` before a term negates it. `@500` selects the metrics at step 500. All terms must hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from litegpt.errors import InputError, did_you_mean
from litegpt.results.metric import METRICS
from litegpt.study.trial import HYPERPARAMETERS

ALIASES = {
    **{hyperparameter.alias: name for name, hyperparameter in HYPERPARAMETERS.items() if hyperparameter.alias != name},
    "train": "train_loss",
    "val": "val_loss",
    "best": "best_val_loss",
    "bpc": "best_bits_per_char",
    "final": "final_loss",
    "params": "parameters",
}
FIELDS = (
    *HYPERPARAMETERS,
    *METRICS,
    *("rank", "id", "phase", "state", "parameters", "seeds", "start_from"),
)
_TERM = re.compile(r"(-?)([A-Za-z_]\w*)(>=|<=|!=|==|>|<|=|:)(.*)")
_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b and not _same(a, b),
    ">=": lambda a, b: a > b or _same(a, b),
    "<": lambda a, b: a < b and not _same(a, b),
    "<=": lambda a, b: a < b or _same(a, b),
}


@dataclass(frozen=True)
class Term:
    """One condition; if `field` is None, a word to search for."""

    field: str | None
    comparison: str
    values: tuple[str, ...]
    negated: bool = False

    def holds(self, record: Mapping[str, object]) -> bool:
        """Return whether a record of FIELDS meets the condition; a missing field meets none."""
        return self._plainly(record) != self.negated

    def _plainly(self, record: Mapping[str, object]) -> bool:
        if self.field is None:
            text = f"{record.get('phase', '')}/{record.get('id', '')}".casefold()
            return self.values[0].casefold() in text
        value = record.get(self.field)
        if value is None:
            return False
        if self.comparison in _COMPARISONS:
            number = _number(self.values[0])
            return isinstance(value, int | float) and number is not None and _compare(self.comparison, value, number)
        return any(_equal(value, wanted, part=self.comparison == ":") for wanted in self.values)


@dataclass(frozen=True)
class Query:
    """A parsed filter. An empty filter accepts every record."""

    terms: tuple[Term, ...] = ()
    step: int | None = None  # show the metrics at this step

    def holds(self, record: Mapping[str, object]) -> bool:
        """Return whether a record of FIELDS meets every term."""
        return all(term.holds(record) for term in self.terms)


def parse_query(text: str) -> Query:
    """Parse a filter. InputError names the wrong term and a similar name."""
    terms: list[Term] = []
    step: int | None = None
    for word in text.split():
        if word.startswith("@"):
            step = _step(word)
        elif word != "-":
            terms.append(_term(word))
    return Query(tuple(terms), step)


def _step(word: str) -> int:
    number = _number(word[1:])
    if number is None or number < 0 or number != int(number):
        raise InputError(f"'{word}' is not a step: write @500")
    return int(number)


def _term(word: str) -> Term:
    matched = _TERM.fullmatch(word)
    if matched is None:
        return Term(None, "", (word.removeprefix("-"),), negated=word.startswith("-"))
    minus, name, comparison, value = matched.groups()
    field = ALIASES.get(name, name)
    if field not in FIELDS:
        raise InputError(f"'{word}': unknown field '{name}'{did_you_mean(name, (*FIELDS, *ALIASES))}")
    if not value:
        raise InputError(f"'{word}' lacks a value")
    if comparison in _COMPARISONS and _number(value) is None:
        raise InputError(f"'{word}': '{value}' is not a number")
    negated = bool(minus) != (comparison == "!=")
    if comparison in ("=", "==", "!="):
        comparison = "="
    values = tuple(filter(None, value.split(","))) if comparison == ":" else (value,)
    return Term(field, comparison, values or (value,), negated)


def _equal(value: object, wanted: str, *, part: bool) -> bool:
    if isinstance(value, int | float):
        if part and ".." in wanted:
            low, _, high = wanted.partition("..")
            least, most = _number(low) if low else -math.inf, _number(high) if high else math.inf
            return (
                least is not None and most is not None and _compare(">=", value, least) and _compare("<=", value, most)
            )
        number = _number(wanted)
        return number is not None and _same(value, number)
    text, wanted = str(value).casefold(), wanted.casefold()
    return wanted in text if part else wanted == text


def _compare(comparison: str, value: float, number: float) -> bool:
    return _COMPARISONS[comparison](value, number)


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9)


def _number(text: str) -> float | None:
    factor = _SUFFIXES.get(text[-1:].casefold(), 1.0)
    try:
        number = float(text if factor == 1.0 else text[:-1]) * factor
    except ValueError:
        return None
    return number if math.isfinite(number) else None
