"""Edits of a study file keep its comments and order, and can be undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.study.edit.append import append_chosen
from litegpt.study.edit.blocks import join_blocks, split_blocks
from litegpt.study.edit.draft import Draft
from litegpt.study.edit.entries import EntryAddress
from litegpt.study.edit.phase_text import number_text
from litegpt.study.edit.typed import typed_axis, typed_combination, typed_setting
from litegpt.study.expand import expand
from litegpt.study.study import parse_study, read_study

STUDY = """\
# A study with comments.
[study]
corpus = "novella.txt"  # relative

[defaults]   # of all phases
n_head = "n_embd // 32"   # derived
block_size = 32
batch_size = 8
max_iters = 100

# The coarse grid.
[[phase]]
name = "one"
[phase.grid]
learning_rate = [1e-3, 3e-3]  # rates
n_layer = [
    1,  # small
    2,  # less so
]
n_embd = [32, 64]
[[phase.exclude]]   # expensive
n_layer = 2
n_embd = 64

# Its best.
[[phase]]
name = "two"
max_iters = 300   # longer
[phase.promote]
from = "one"
top = 3   # enough
"""


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    path = tmp_path / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return Draft.open(path)


def changes(draft: Draft) -> list[str]:
    return [line for line in draft.difference()[2:] if line[0] in "+-"]


@pytest.mark.parametrize(
    ("name", "typed", "values"),
    [
        ("learning_rate", "1e-3, 3e-3", "1e-3 3e-3"),
        ("learning_rate", "[6e-5,6e-5, .5]", "6e-5 0.5"),
        ("learning_rate", "log(6e-5, 6e-4, 7)", "6e-5 8.81e-5 1.29e-4 1.9e-4 2.78e-4 4.09e-4 6e-4"),
        ("learning_rate", "log(1e-3, 1e-1, 3), 1", "1e-3 0.01 1e-1 1"),
        ("dropout", "lin(0, 0.4, 5)", "0 0.1 0.2 0.3 0.4"),
        ("n_layer", "1..6", "1 2 3 4 5 6"),
        ("n_layer", "3..1", "3 2 1"),
        ("n_embd", "log(16, 256, 5), 100", "16 32 64 128 256 100"),
        ("lr_schedule", 'cosine, "constant"', '"cosine" "constant"'),
    ],
)
def test_typed_values_become_toml(name: str, typed: str, values: str) -> None:
    assert typed_axis(name, typed) == tuple(values.split())


@pytest.mark.parametrize(
    ("name", "typed", "message"),
    [
        ("learning_rate", "quick", "learning_rate cannot be 'quick': write numbers, such as 1e-3, 3e-3"),
        ("learning_rate", "", "needs values"),
        ("learning_rate", "0", "must be more than 0"),
        ("learning_rate", "log(0, 1, 3)", "needs ends above 0"),
        ("learning_rate", "log(1, 2)", r"must be log\(from, to, count\)"),
        ("learning_rate", "lin(1, 2, 1)", "whole number of at least 2"),
        ("learning_rate", "nan", "must be finite"),
        ("n_layer", "1.5", "whole number"),
        ("n_layer", "1..2000000", "2,000,000 values, more than 100,000"),
        ("lr_schedule", "cosin", r"did you mean 'cosine'\?"),
        ("n_layers", "1", r"did you mean 'n_layer'\?"),
    ],
)
def test_typed_values_that_are_illegal_are_refused(name: str, typed: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        typed_axis(name, typed)
    assert "\n" not in str(caught.value)


def test_typed_settings_and_combinations_become_toml() -> None:
    assert typed_setting("n_head", "n_embd // 16") == '"n_embd // 16"'
    assert typed_combination("n_layer = 2, n_embd: 64") == {"n_layer": "2", "n_embd": "64"}
    for typed in ("", "n_layer", "n_layer = ", "n_layer = n_embd // 2"):
        with pytest.raises(InputError):
            typed_combination(typed)
    with pytest.raises(InputError, match="not a hyperparameter"):
        typed_setting("n_head", "n_width // 16")


def test_numbers_are_written_with_few_digits() -> None:
    assert [number_text(value) for value in (0.1, 6e-5, 8.812e-5, 128.0, 0.01, 1e7, 0.0)] == [
        "0.1",
        "6e-5",
        "8.81e-5",
        "128",
        "0.01",
        "1e7",
        "0",
    ]


def test_the_blocks_of_a_text_are_the_text(draft: Draft) -> None:
    for text in (draft.text, draft.text.replace("\n", "\r\n"), draft.text.rstrip("\n") + "\n"):
        assert join_blocks(split_blocks(text)) == text
        assert [block.phase for block in split_blocks(text)] == [None, 0, 1]


def test_an_entry_is_set_and_the_rest_stays(draft: Draft) -> None:
    draft.set(0, EntryAddress("grid", "learning_rate"), "1e-4, 1e-3")
    draft.set(0, EntryAddress("grid", "n_layer"), "2, 4")
    draft.set(0, EntryAddress("grid", "seed"), "1..3")
    draft.set(0, EntryAddress("phase", "dropout"), "0.1")
    draft.set(0, EntryAddress("defaults", "n_head"), "n_embd // 16")
    draft.set(1, EntryAddress("promote", "top"), "5")
    draft.set(1, EntryAddress("promote", "how"), "exact")
    assert changes(draft) == [
        '-n_head = "n_embd // 32"   # derived',
        '+n_head = "n_embd // 16"   # derived',
        "+dropout = 0.1",
        "+",
        "-learning_rate = [1e-3, 3e-3]  # rates",
        "+learning_rate = [1e-4, 1e-3]  # rates",
        "-    1,  # small",
        "+    4,",
        "+seed = [1, 2, 3]",
        "-top = 3   # enough",
        "+top = 5   # enough",
        '+how = "exact"',
    ]
    study = draft.check()
    assert study.phase("one").axes["n_layer"] == (2, 4)
    assert study.phase("one").axes["seed"] == (1, 2, 3)
    assert "# less so" in draft.text


def test_typing_an_entry_as_shown_changes_nothing(draft: Draft) -> None:
    for phase in range(2):
        for entry in draft.entries(phase):
            assert draft.preview(phase, entry.address, entry.text) == draft.text


def test_setting_an_axis_removes_it_from_the_grid(draft: Draft) -> None:
    draft.set(0, EntryAddress("phase", "n_embd"), "64")
    assert "n_embd" not in draft.check().phase("one").axes
    draft.set(0, EntryAddress("grid", "n_embd"), "32, 64")
    assert draft.check().phase("one").axes["n_embd"] == (32, 64)
    assert "n_embd" not in draft.check().phase("one").fixed


def test_exclusions_and_listed_trials(draft: Draft) -> None:
    draft.set(0, EntryAddress("exclude"), "n_layer = 1")
    draft.set(0, EntryAddress("exclude", number=0), "n_layer = 2, learning_rate = 3e-3")
    draft.set(1, EntryAddress("trial"), "n_layer = 3, n_embd = 96, learning_rate = 1e-3")
    study = draft.check()
    assert study.phase("one").excludes == ({"n_layer": 2, "learning_rate": 3e-3}, {"n_layer": 1})
    assert len(study.phase("two").listed) == 1
    assert "# expensive" in draft.text
    draft.remove(0, EntryAddress("exclude", number=1))
    draft.remove(0, EntryAddress("exclude", number=0))
    assert draft.check().phase("one").excludes == ()


def test_removing_the_last_axis_removes_the_grid(draft: Draft) -> None:
    draft.set(1, EntryAddress("grid", "seed"), "1, 2")
    draft.remove(1, EntryAddress("grid", "seed"))
    assert "grid" not in draft.text.split("# Its best.")[1]
    with pytest.raises(InputError, match="top cannot be left out"):
        draft.remove(1, EntryAddress("promote", "top"))


def test_a_phase_is_renamed_with_those_promoted_from_it(draft: Draft) -> None:
    draft.set(0, EntryAddress("phase", "name"), "coarse")
    assert draft.phases() == ["coarse", "two"]
    assert draft.check().phase("two").promotion is not None
    with pytest.raises(InputError, match="two phases would be named 'two'"):
        draft.set(0, EntryAddress("phase", "name"), "two")


def test_phases_are_added_copied_moved_and_deleted(draft: Draft) -> None:
    assert draft.add_phase(1) == 2
    assert draft.phases() == ["one", "two", "phase3"]
    draft.check()
    assert draft.duplicate_phase(0) == 1
    assert draft.phases() == ["one", "one-2", "two", "phase3"]
    assert expand(draft.check().phase("one")) == expand(draft.check().phase("one-2"))
    assert draft.text.count("# The coarse grid.") == 2
    assert draft.move_phase(1, 1) == 2
    assert draft.phases() == ["one", "two", "one-2", "phase3"]
    assert draft.move_phase(3, 1) == 3
    draft.delete_phase(3)
    draft.delete_phase(2)
    assert draft.text == STUDY
    with pytest.raises(InputError, match="two is promoted from one: change or delete two first"):
        draft.delete_phase(0)
    draft.delete_phase(1)
    assert "# Its best." not in draft.text
    with pytest.raises(InputError, match="at least one phase"):
        draft.delete_phase(0)


def test_a_promotion_moved_before_its_source_is_refused(draft: Draft) -> None:
    draft.move_phase(1, -1)
    assert draft.text.index("# Its best.") < draft.text.index("# The coarse grid.")
    with pytest.raises(InputError, match="only from a phase before it"):
        draft.check()
    with pytest.raises(InputError, match="only from a phase before it"):
        draft.save()
    assert draft.path.read_text(encoding="utf-8") == STUDY


def test_edits_can_be_undone_and_redone(draft: Draft) -> None:
    assert not draft.undo()
    draft.set(0, EntryAddress("grid", "seed"), "1")
    once = draft.text
    draft.add_phase(0)
    twice = draft.text
    with pytest.raises(InputError):
        draft.set(0, EntryAddress("grid", "seed"), "x")
    assert draft.text == twice
    assert draft.undo()
    assert draft.text == once
    assert draft.undo()
    assert not draft.is_changed
    assert draft.redo()
    assert draft.redo()
    assert not draft.redo()
    assert draft.text == twice


def test_a_draft_of_a_changed_file_is_not_saved(draft: Draft) -> None:
    draft.set(0, EntryAddress("grid", "seed"), "1")
    theirs = STUDY + "# theirs\n"
    draft.path.write_text(theirs, encoding="utf-8")
    assert draft.is_behind()
    with pytest.raises(InputError, match="changed on disk since it was read: nothing was written"):
        draft.save()
    assert draft.is_changed
    draft.reload()
    assert (draft.text, draft.is_changed) == (theirs, False)
    draft.undo()
    draft.set(0, EntryAddress("grid", "seed"), "1, 2")
    draft.save()
    assert not draft.is_changed
    assert read_study(draft.path).phase("one").axes["seed"] == (1, 2)


def test_inline_tables_and_windows_line_ends_can_be_edited(tmp_path: Path) -> None:
    text = (
        "[[phase]]\nname = 'one'\nexclude = [{n_layer = 1}]\ngrid = {n_layer = [1, 2], learning_rate = [1e-3]}\n"
        "n_embd = 64\n[study]\ncorpus = 'a'\n[defaults]\nn_head=2\nblock_size=8\nbatch_size=8\nmax_iters=9\n"
    ).replace("\n", "\r\n")
    draft = Draft(tmp_path / "s.toml", text)
    draft.set(0, EntryAddress("grid", "n_layer"), "1..3")
    draft.set(0, EntryAddress("grid", "seed"), "1, 2")
    draft.set(0, EntryAddress("exclude"), "n_layer = 2")
    draft.set(0, EntryAddress("defaults", "dropout"), "0.1")
    draft.add_phase(0)
    study = draft.check()
    assert study.phase("one").axes == {"n_layer": (1, 2, 3), "learning_rate": (1e-3,), "seed": (1, 2)}
    assert study.phase("one").excludes == ({"n_layer": 1}, {"n_layer": 2})
    assert study.defaults["dropout"] == 0.1
    assert draft.text.count("\n") == draft.text.count("\r\n")
    inline = Draft(tmp_path / "s.toml", "phase = [{name = 'one'}]\n")
    with pytest.raises(InputError, match=r"head each with \[\[phase\]\]"):
        inline.phases()


def test_setting_a_default_adds_the_table_of_defaults(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "s.toml", "[study]\ncorpus = 'a'\n\n[[phase]]\nname = 'one'\n")
    draft.set(0, EntryAddress("defaults", "dropout"), "0.1")
    assert draft.text == "[study]\ncorpus = 'a'\n\n[defaults]\ndropout = 0.1\n\n[[phase]]\nname = 'one'\n"


def test_chosen_trials_are_listed_in_the_file(draft: Draft) -> None:
    study = draft.check()
    expansion = expand(study.phase("one"))
    assert expansion is not None
    chosen = [expansion.trials[0], expansion.trials[4]]
    text = append_chosen(study, STUDY, "three", chosen, "exact", 900, "two of one")
    assert text.startswith(STUDY)
    assert "# two of one\n[[phase]]" in text
    exact = expand(parse_study(text, draft.path).phase("three"))
    assert exact is not None
    assert {(t.n_layer, t.n_embd, t.learning_rate, t.max_iters) for t in exact.trials} == {
        (t.n_layer, t.n_embd, t.learning_rate, 900) for t in chosen
    }
    narrow = expand(parse_study(append_chosen(study, STUDY, "x", chosen, "narrow", 900, "r"), draft.path).phase("x"))
    assert narrow is not None
    assert len(narrow.trials) == 4
    with pytest.raises(InputError, match="has a phase 'one' already"):
        append_chosen(study, STUDY, "one", chosen, "exact", 900, "r")
