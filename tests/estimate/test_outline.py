from __future__ import annotations

import json
from collections.abc import Callable

from litegpt.estimate.outline import outline
from litegpt.study.expand import expand
from litegpt.study.study import Study

PHASES = """
[[phase]]
name = "one"
[phase.grid]
n_embd = [64, 128]
batch_size = [8, 16]
[[phase.exclude]]
n_embd = 128
batch_size = 16
[[phase]]
name = "two"
max_iters = 300
promote = {from = "one", top = 2}
"""


def test_an_outline_can_be_written_as_json(study_of: Callable[[str], Study]) -> None:
    study = study_of(PHASES)
    plain = outline(study, n_symbols=86).plain()
    assert json.loads(json.dumps(plain)) == plain
    first, second = plain["phases"]
    assert plain["study"] == "small"
    assert list(first) == [
        "name",
        "trials",
        "excluded",
        "max_iters",
        "parameters_min",
        "parameters_max",
        "flops",
        "from",
    ]
    assert (first["trials"], first["excluded"], first["max_iters"], first["from"]) == (3, 1, 100, None)
    assert first["parameters_min"] == 112_854
    assert (second["trials"], second["trials_max"], second["excluded"], second["from"]) == (None, 3, 0, "one")
    assert (second["max_iters"], second["parameters_max"]) == (300, first["parameters_max"])
    assert second["flops"] == 3 * first["flops"]


def test_a_known_promotion_has_a_count(study_of: Callable[[str], Study]) -> None:
    study = study_of(PHASES)
    first = expand(study.phase("one"))
    assert first is not None
    second = expand(study.phase("two"), first.trials[:1])
    assert second is not None
    record = outline(study, 86, {"two": second}).plain()["phases"][1]
    assert (record["trials"], record["parameters_max"]) == (1, 112_854)
    assert "trials_max" not in record


def test_exclusions_are_counted_by_reason(study_of: Callable[[str], Study]) -> None:
    phases = outline(study_of(PHASES), 86).phases
    assert phases[0].reasons == (("excluded: n_embd = 128, batch_size = 16", 1),)
    assert phases[1].reasons == ()


def test_a_promotion_without_trials_costs_nothing(study_of: Callable[[str], Study]) -> None:
    study = study_of(PHASES)
    nothing = expand(study.phase("two"), [])
    assert nothing is not None
    record = outline(study, 86, {"two": nothing}).plain()["phases"][1]
    assert (record["trials"], record["max_iters"], record["flops"]) == (0, None, None)
