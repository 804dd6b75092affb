"""Options of `litegpt sample`. tests/run checks the generated text."""

from __future__ import annotations

import pytest

from litegpt.cli.main import main
from litegpt.results.folder import TrialFolder


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("--seed", "99999999999999999999", "--seed must be between 0 and 9223372036854775807"),
        ("--seed", "-1", "--seed must be between 0 and"),
        ("--temperature", "nan", "--temperature must be a number from 0 on, not nan"),
        ("--temperature", "inf", "--temperature must be a number from 0 on, not inf"),
        ("--temperature", "-1", "--temperature must be a number from 0 on, not -1.0"),
        ("--length", "-1", "--length must be between 0 and"),
        ("--length", "99999999999999999999", "--length must be between 0 and"),
        ("--top-k", "0", "--top-k must be at least 1"),
        ("--prompt", "a\udcff", r"'\udcff' is not in the vocabulary"),
    ],
)
def test_bad_options_are_one_line(
    trial: TrialFolder, capsys: pytest.CaptureFixture[str], option: str, value: str, part: str
) -> None:
    assert main(["sample", str(trial.path), f"{option}={value}"]) == 2
    printed, complaint = capsys.readouterr()
    assert (printed, complaint.count("\n")) == ("", 1)
    assert part in complaint


def test_a_tiny_temperature_is_greedy(trial: TrialFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(trial.path), "--temperature", "0"]) == 0
    greedy = capsys.readouterr().out
    assert main(["sample", str(trial.path), "--temperature", "1e-300"]) == 0
    assert capsys.readouterr().out == greedy


@pytest.mark.parametrize("options", [(), ("--temperature", "0"), ("--top-k", "2")])
def test_weights_that_are_not_finite_are_refused(
    nan_trial: TrialFolder, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert main(["sample", str(nan_trial.path), *options]) == 2
    printed, complaint = capsys.readouterr()
    assert (printed, complaint.count("\n")) == ("", 1)
    assert "its weights are not finite" in complaint
