"""Short names distinguish trials."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from litegpt.results.names import short_names, tokens_name
from tests.builders import make_trial, trial_state


def test_short_names_contain_what_distinguishes_trials() -> None:
    trial = make_trial(weight_decay=0.01)
    others = [
        dataclasses.replace(trial, activation="swiglu", tokenizer="bpe", vocab_size=512),
        dataclasses.replace(trial, weight_decay=0.1, tied_weights=True),
    ]
    states = [trial_state(one, "queued") for one in (trial, *others)]
    assert [name.split(" ", 1)[1] for name in short_names(states).values()] == [
        "decay 0.01 relu char",
        "decay 0.01 swiglu bpe 512",
        "decay 0.1 relu tied char",
    ]
    assert list(short_names(states[:1]).values()) == [trial.id.rsplit("-", 1)[0]]
    assert tokens_name(trial) == "char"
    assert tokens_name(trial.__class__(**{**trial.settings(), "tokenizer": "word", "vocab_size": 1024})) == "word 1024"


def test_short_names_differ_for_similar_ids() -> None:
    """Heads that follow from the width say nothing beside it."""
    base = make_trial(batch_size=16, learning_rate=1e-3, max_iters=100)
    settings = [base, replace(base, n_embd=128, n_head=2), replace(base, activation="swiglu", qk_norm=True)]
    trials = [trial_state(trial, "queued") for trial in settings]
    assert [*short_names(trials).values()] == [
        "2x64-t32-b16-lr0.001-i100 relu",
        "2x128-t32-b16-lr0.001-i100 relu",
        "2x64-t32-b16-lr0.001-i100 swiglu qk norm",
    ]
