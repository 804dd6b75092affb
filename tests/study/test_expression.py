from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litegpt.study.expression import parse

VALUES = {"n_embd": 192, "n_layer": 4, "learning_rate": 5e-4}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("n_embd // 64", 3),
        ("n_embd / 64", 3.0),
        ("-n_layer + +10 - 2 * 3", 0),
        ("n_embd % 7", 3),
        ("2 ** (n_layer + 1)", 32),
        ("max(1, n_embd // 256)", 1),
        ("min(n_layer, n_embd, 3)", 3),
        (" learning_rate * 1e1 ", 5e-3),
        ("8", 8),
    ],
)
def test_arithmetic(source: str, expected: float) -> None:
    assert parse(source).evaluate(VALUES) == pytest.approx(expected)


def test_the_names_of_an_expression() -> None:
    assert parse("max(n_embd, n_layer) * 2 + n_embd").names == {"n_embd", "n_layer"}


@pytest.mark.parametrize(
    "source",
    [
        "",
        "n_embd //",
        "__import__('os')",
        "n_embd.real",
        "abs(n_embd)",
        "max",
        "max(n_embd)",
        "max(n_embd, default=1)",
        "max(*n_embd, 1)",
        "n_embd if n_layer else 1",
        "n_embd or 1",
        "n_embd < 1",
        "(n_embd, 1)",
        "lambda: 1",
        "True",
        "2j",
        "~n_embd",
        "n_embd << 40",
        "n_embd; 1",
        "n_embd\n+ 1",
        "1or 2",
        "\u207f",
        "\0",
        "(" * 150,
    ],
)
def test_other_expressions_are_not_arithmetic(source: str) -> None:
    with pytest.raises(ValueError, match="derived expression that is not arithmetic"):
        parse(source)


def test_a_long_source_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 200 characters"):
        parse("1+" * 500 + "1")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("n_embd // (n_layer - 4)", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("2 ** 2 ** 2 ** 2 ** 2 ** 2", "a power beyond 64"),
        ("n_embd ** 1e9", "a power beyond 64"),
        ("9999999999 * 9999999999", "too large"),
        ("1e300 * 1e300", "too large"),
        ("9e18 ** 64.0", "too large"),
        ("(-8) ** 0.5", "not a real number"),
        ("n_head * 2", "needs n_head, which is not set"),
    ],
)
def test_an_expression_without_a_result_says_why(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(source).evaluate(VALUES)


@given(st.text(alphabet="n_embdlayermaxi0123456789.eE+-*/%(), \n'\"[]", max_size=60) | st.text(max_size=40))
def test_any_text_has_a_result_or_a_clear_error(source: str) -> None:
    try:
        result = parse(source).evaluate(VALUES)
    except ValueError as error:
        result, message = 0, str(error)
    else:
        message = ""
    assert abs(result) <= 2**63
    assert "\n" not in message
