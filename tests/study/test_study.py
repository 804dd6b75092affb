from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litegpt.errors import InputError
from litegpt.study.phase import Promotion
from litegpt.study.snapshot import snapshot
from litegpt.study.study import Study, parse_study, read_study
from litegpt.study.trial import HYPERPARAMETERS

StudyOf = Callable[[str], Study]

GRID = '[[phase]]\nname = "one"\ngrid = {n_embd = [64, 128]}\n'  # lines 12 to 14 of a study


def test_a_study_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "first-study.toml"
    path.write_text(
        """
        [study]
        corpus = "texts/*.txt"
        validation_fraction = 0.2
        [defaults]
        n_head = "n_embd // 64"
        [[phase]]
        name = "one"
        max_iters = 500.0
        [phase.grid]
        learning_rate = [1, 6e-4]
        n_embd = [64, 128]
        batch_size = [8]
        block_size = [16]
        n_layer = [2]
        [[phase]]
        name = "two"
        max_iters = 1000
        promote = {from = "one", top = 2}
        """,
        encoding="utf-8",
    )
    study = read_study(path)
    assert (study.name, study.corpus, study.split.fraction) == ("first-study", "texts/*.txt", 0.2)
    assert study.corpus_location == str(tmp_path / "texts" / "*.txt")
    assert [phase.name for phase in study.phases] == ["one", "two"]
    assert study.phase("two").promotion == Promotion("one", 2, by="best_val_loss", how="narrow", start="scratch")
    first = study.bounds["one"].candidates
    assert first is not None
    assert [(trial.learning_rate, trial.n_embd, trial.n_head) for trial in first.trials] == [
        (1.0, 64, 1),
        (1.0, 128, 2),
        (6e-4, 64, 1),
        (6e-4, 128, 2),
    ]
    assert all(type(trial.max_iters) is int and type(trial.learning_rate) is float for trial in first.trials)


def test_the_defaults_of_a_study(study_of: StudyOf) -> None:
    study = study_of(GRID)
    assert (study.name, study.split.fraction) == ("small", 0.1)


def test_an_unknown_phase_name_gets_a_suggestion(study_of: StudyOf) -> None:
    with pytest.raises(InputError, match=r"no phase 'onee' \(did you mean 'one'\?\)"):
        study_of(GRID).phase("onee")


def test_byte_order_marks_and_windows_line_ends_are_read(tmp_path: Path, study_of: StudyOf) -> None:
    study_of(GRID)
    path = tmp_path / "small.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_study(path).phases) == 1
    path.write_bytes(path.read_bytes().replace(b"64, 128", b"64, 'wide'"))
    with pytest.raises(InputError, match=r"small.toml:14: n_embd must be a whole number, not 'wide'"):
        read_study(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.toml: no such file"):
        read_study(tmp_path / "missing.toml")
    with pytest.raises(InputError, match="is a folder, not a study file"):
        read_study(tmp_path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'[study]\nname = "na\xefve"\n')
    with pytest.raises(InputError, match=r"latin\.toml:2: is not UTF-8 text"):
        read_study(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[study]\ncorpus = \n", "s.toml:2: is not TOML: Invalid value (column 10)"),
        ("[study]\ncorpus = 'x'\nname = [1,\n", "s.toml:3: is not TOML: Invalid value (at its end)"),
        ("[study]\ncorpus = 'x'\ncorpus = 'y'\n", "s.toml:3: is not TOML: Cannot overwrite a value"),
        ("a = " + "[" * 5000, "s.toml: is not TOML: "),
        ("a = " + "1" * 5000, "s.toml: is not TOML: "),
        ("", "s.toml:1: a study needs at least one [[phase]]"),
        ("[study]\n[studdy]\n", "s.toml:2: unknown key 'studdy' in the file (did you mean 'study'?)"),
        ("study = 3\n", "s.toml:1: study must be a table, not 3"),
        ("[study]\nnam = 'x'\n", "s.toml:2: unknown key 'nam' in [study] (did you mean 'name'?)"),
        ("[phase]\nname = 'x'\n", "s.toml:1: phase must be tables, each headed [[phase]]"),
        ("[defaults]\nlearning_rat = 1\n", "s.toml:2: unknown key 'learning_rat' in [defaults] (did you mean 'learn"),
        ("[defaults]\nstart_from = 'a/b'\n", "s.toml:2: unknown key 'start_from' in [defaults]"),
        ("[defaults]\nn_layer = true\n", "s.toml:2: n_layer must be a whole number, not True"),
        ("[defaults]\nn_layer = 2.5\n", "s.toml:2: n_layer must be a whole number, not 2.5"),
        ("[defaults]\nn_layer = [2]\n", "s.toml:2: n_layer must be a whole number, not [2]"),
        ("[defaults]\nlearning_rate = nan\n", "s.toml:2: learning_rate must be finite, not nan"),
        ("[defaults]\nlearning_rate = inf\n", "s.toml:2: learning_rate must be finite, not inf"),
        ("[defaults]\nlearning_rate = 0\n", "s.toml:2: learning_rate must be more than 0, not 0"),
        ("[defaults]\nlearning_rate = 1" + "0" * 400, "s.toml:2: learning_rate is too large"),
        ("[defaults]\nn_layer = 0x" + "f" * 9000, "s.toml:2: n_layer must be between 1 and 2147483647, not a number"),
        ("[defaults]\nvocab_size = 2_000_000\n", "s.toml:2: vocab_size must be between 0 and 1000000, not 2000000"),
        ("[defaults]\nn_layer = 0\n", "s.toml:2: n_layer must be between 1 and 2147483647, not 0"),
        ("[defaults]\ndropout = 1.0\n", "s.toml:2: dropout must be at least 0 and less than 1, not 1.0"),
        ("[defaults]\nweight_decay = -1\n", "s.toml:2: weight_decay must be at least 0, not -1"),
        ("[defaults]\nseed = -1\n", "s.toml:2: seed must be between 0 and"),
        (
            "[defaults]\nprecision = 'fp61'\n",
            "s.toml:2: precision must be one of auto, fp32, bf16, fp16, not 'fp61' (did you mean 'fp16'?)",
        ),
        ("[defaults]\nlr_schedule = 3\n", "s.toml:2: lr_schedule must be one of constant, cosine, not 3"),
        (
            "[defaults]\nn_head = 'n_embd @ 2'\n",
            "s.toml:2: n_head = 'n_embd @ 2' is a derived expression that is not arithmetic",
        ),
        (
            "[defaults]\nn_head = 'n_embed // 64'\n",
            "s.toml:2: n_head = 'n_embed // 64' uses 'n_embed', which is not a hyperparameter (did you mean 'n_embd'?)",
        ),
        ("[defaults]\nn_head = 'precision * 2'\n", "uses 'precision', which is text, not a number"),
    ],
)
def test_errors_before_the_phases(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        parse_study(text, Path("s.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[defaults]\n", "s.toml:1: corpus is missing from [study]"),
        ("[study]\n# no corpus\n", "s.toml:1: corpus is missing from [study]"),
        ("[study]\ncorpus = ''\n", "s.toml:2: corpus must be a file, a folder or a glob, not ''"),
        ("[study]\ncorpus = 'x'\nvalidation_fraction = 1\n", "s.toml:3: validation_fraction must be a number between"),
        ("[study]\ncorpus = 'x'\nvalidation_fraction = true\n", "s.toml:3: validation_fraction must be a number"),
        ("[study]\ncorpus = 'x'\nsplit = 'block'\n", "s.toml:3: split must be one of last, blocks, files, not 'block'"),
        ("[study]\ncorpus = 'x'\nsplit = 3\n", "s.toml:3: split must be one of last, blocks, files, not 3"),
        ("[study]\ncorpus = 'x'\nsplit = 'files'\n", "s.toml:3: split = 'files' needs validation_files"),
        (
            "[study]\ncorpus = 'x'\nsplit = 'files'\nvalidation_files = ['y']\n",
            "s.toml:4: validation_files must be a file, a folder or a glob, not ['y']",
        ),
        (
            "[study]\ncorpus = 'x'\nsplit = 'files'\nvalidation_files = 'y'\nvalidation_fraction = 0.1\n",
            "s.toml:5: validation_fraction belongs to split = 'last' or 'blocks', not to 'files'",
        ),
        ("[study]\ncorpus = 'x'\nsplit_seed = 3\n", "s.toml:3: split_seed belongs to split = 'blocks', not to 'last'"),
        (
            "[study]\ncorpus = 'x'\nsplit_seed = 1.5\nsplit = 'blocks'\n",
            "s.toml:3: split_seed must be a whole number, not 1.5",
        ),
        (
            "[study]\ncorpus = 'x'\nsplit_sed = 3\n",
            "s.toml:3: unknown key 'split_sed' in [study] (did you mean 'split_seed'?)",
        ),
        ("[study]\ncorpus = 'x'\nname = '../x'\n", "s.toml:3: name '../x' must be letters, digits"),
        ("[study]\ncorpus = 'x'\nname = 7\n", "s.toml:3: name 7 must be letters, digits"),
    ],
)
def test_errors_of_the_study_table(text: str, message: str) -> None:
    phase = "[[phase]]\nname = 'one'\n[[phase.trial]]\n"
    settings = "n_layer = 1\nn_head = 1\nn_embd = 8\nblock_size = 8\nbatch_size = 1\nlearning_rate = 1\nmax_iters = 1\n"
    with pytest.raises(InputError, match=re.escape(message)):
        parse_study(text + phase + settings, Path("s.toml"))


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ("[[phase]]\nmax_iters = 5\n", "12: name is missing from [[phase]]"),
        ('[[phase]]\nname = ".one"\n', "13: name '.one' must be letters, digits, '.', '_' and '-', not starting with"),
        ('[[phase]]\nname = "a/b"\n', "13: name 'a/b' must be letters"),
        ('[[phase]]\nname = "é"\n', "13: name 'é' must be letters"),
        ('[[phase]]\nname = "a\\n"\n', "13: name 'a\\n' must be letters"),
        (f'[[phase]]\nname = "{"a" * 101}"\n', "is longer than 100 characters"),
        ('[[phase]]\nname = "journal.jsonl"\n', "13: name 'journal.jsonl' is taken by a file of the results"),
        ('[[phase]]\nname = "baselines.json"\n', "13: name 'baselines.json' is taken by a file of the results"),
        ('[[phase]]\nname = "Autotune.JSON"\n', "13: name 'Autotune.JSON' is taken by a file of the results"),
        ('[[phase]]\nname = "one.tmp"\n', "13: name 'one.tmp' is taken by a file of the results"),
        (GRID + '[[phase]]\nname = "ONE"\n', "16: two phases are named 'ONE'"),
        (GRID + "gird = 3\n", "15: unknown key 'gird' in [[phase]] (did you mean 'grid'?)"),
        ('[[phase]]\nname = "one"\ngrid = 3\n', "14: grid must be a table, not 3"),
        ('[[phase]]\nname = "one"\n[phase.grid]\n', "14: the grid of phase 'one' is empty"),
        ('[[phase]]\nname = "one"\n[phase.grid]\nn_layer = []\n', "15: n_layer has no values in the grid of phase"),
        ('[[phase]]\nname = "one"\n[phase.grid]\nn_layer = 2\n', "15: n_layer must be a list of values in a grid"),
        ('[[phase]]\nname = "one"\n[phase.grid]\nn_layer = [2, 0]\n', "15: n_layer must be between 1 and"),
        ('[[phase]]\nname = "one"\n[phase.grid]\nn_head = ["n_embd"]\n', "15: n_head must be a whole number, not 'n"),
        ('[[phase]]\nname = "one"\n[phase.grid]\nnlayer = [2]\n', "15: unknown key 'nlayer' in [phase.grid] (did you"),
        (GRID + "n_embd = 64\n", "14: n_embd is an axis of the grid and also set in phase 'one'"),
        (GRID + "[[phase.exclude]]\n", "15: an empty exclude would leave nothing"),
        (
            GRID + "[[phase.exclude]]\nn_emb = 3\n",
            "16: unknown key 'n_emb' in [[phase.exclude]] (did you mean 'n_embd'",
        ),
        (GRID + "[phase.exclude]\nn_embd = 64\n", "15: exclude must be tables, each headed [[phase.exclude]]"),
        (GRID + "[[phase.exclude]]\nn_layer = 2\n", "15: every permutation of phase 'one' is excluded"),
        (
            '[[phase]]\nname = "one"\n[phase.grid]\ntokenizer = ["bpe"]\nvocab_size = [256]\n',
            "every permutation of phase 'one' is excluded: tokenizer = 'bpe' needs a vocab_size above 256",
        ),
        (GRID + "[[phase.trial]]\n[[phase.trial]]\nn_emb = 3\n", "17: unknown key 'n_emb' in [[phase.trial]]"),
        (GRID + "[[phase.trial]]\nn_head = 3\n", "15: a trial of phase 'one' is illegal: n_embd 64 is not a multiple"),
        (GRID + 'n_layer = "n_head"\nn_head = "n_layer"\n', "derived hyperparameters depend on one another: n_"),
        (
            '[[phase]]\nname = "one"\nn_head = 5\n[phase.grid]\nn_layer = [2]\nn_embd = [50, 64]\n',
            "15: phase 'one' has an illegal combination, n_embd = 64: n_embd 64 is not a multiple of n_head 5; "
            "exclude it with [[phase.exclude]] or derive n_head (n_head = 'n_embd // 64')",
        ),
        (
            '[[phase]]\nname = "one"\n[phase.grid]\nn_embd = [16, 64]\n',
            "14: phase 'one' has an illegal combination, n_embd = 16: n_head = 'n_embd // 32' must be between 1 and",
        ),
        (
            '[[phase]]\nname = "one"\nn_head = "n_embd / 48"\n[phase.grid]\nn_embd = [96, 100]\n',
            "n_head = 'n_embd / 48' must be a whole number, not 2.08",
        ),
        (
            '[[phase]]\nname = "one"\nlr_schedule = "cosine"\nmin_learning_rate = 1e-4\n'
            "[phase.grid]\nlearning_rate = [1e-3, 1e-5]\n",
            "16: phase 'one' has an illegal combination, learning_rate = 1e-05: min_learning_rate 0.0001 is above",
        ),
    ],
)
def test_errors_of_a_phase(study_of: StudyOf, phases: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        study_of(phases)
    assert re.match(r".*small\.toml:\d+: ", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("promotion", "message"),
    [
        ("top = 3", "from is missing from [phase.promote] of phase 'two'"),
        ('from = "one"', "top is missing from [phase.promote] of phase 'two'"),
        ('from = "onee", top = 3', "promotion from an unknown phase 'onee' (did you mean 'one'?)"),
        ("from = 1, top = 3", "promotion from an unknown phase 1"),
        ('from = "two", top = 3', "phase 'two' cannot promote from itself: only from a phase before it"),
        ('from = "three", top = 3', "phase 'two' cannot promote from the later phase 'three'"),
        ('from = "one", top = 0', "top must be a whole number of trials, at least 1, not 0"),
        ('from = "one", top = true', "top must be a whole number of trials"),
        ('from = "one", top = 3, by = "val_los"', "by must be one of train_loss, val_loss, best_val_loss, final_loss"),
        ('from = "one", top = 3, how = "wide"', "how must be one of narrow, exact, not 'wide'"),
        ('from = "one", top = 3, start = "checkpoint"', "start = 'checkpoint' needs how = 'exact'"),
        ('from = "one", top = 3, best = 3', "unknown key 'best' in [phase.promote]"),
        (
            'from = "one", top = 3, how = "exact", start = "checkpoint"}\ngrid = {n_layer = [2, 3]',
            "n_layer cannot change with start = 'checkpoint'",
        ),
        ('from = "one", top = 3}\ngrid = {n_head = [7]', "phase 'two' has an illegal combination"),
    ],
)
def test_errors_of_a_promotion(study_of: StudyOf, promotion: str, message: str) -> None:
    later = '[[phase]]\nname = "three"\npromote = {from = "one", top = 1}\n'
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        study_of(f'{GRID}[[phase]]\nname = "two"\npromote = {{{promotion}}}\n{later}')
    assert re.match(r".*small\.toml:\d+: ", str(caught.value))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("max_iters", "phase 'one' sets no max_iters: set it in the phase or [defaults]"),
        ("batch_size", "phase 'one' sets no batch_size: set it in the phase, its grid or [defaults]"),
    ],
)
def test_a_hyperparameter_without_a_value_is_named(
    tmp_path: Path, study_of: StudyOf, missing: str, message: str
) -> None:
    study_of(GRID)
    text = re.sub(rf"{missing} = .*\n", "", (tmp_path / "small.toml").read_text(encoding="utf-8"))
    with pytest.raises(InputError, match=re.escape(message)):
        parse_study(text, Path("s.toml"))


def test_a_phase_without_grid_trials_and_promotion_is_one_trial(study_of: StudyOf) -> None:
    study = study_of('[[phase]]\nname = "one"\nlearning_rate = 2e-3\n')
    [trial] = study.bounds["one"].candidates.trials
    assert (trial.n_head, trial.learning_rate, trial.max_iters) == (2, 2e-3, 100)
    again = parse_study(snapshot(study, {}), study.path)
    assert again.bounds["one"].candidates.trials == (trial,)


def test_a_phase_of_one_trial_without_a_setting_is_refused(study_of: StudyOf) -> None:
    path = study_of('[[phase]]\nname = "one"\n').path
    text = path.read_text(encoding="utf-8").replace("batch_size = 8\n", "")
    with pytest.raises(InputError, match="11: phase 'one' sets no batch_size: set it in the phase or \\[defaults\\]"):
        parse_study(text, path)


def test_a_grid_that_is_too_large_is_refused_by_its_size(study_of: StudyOf) -> None:
    axes = "".join(f"{name} = {[*range(1, 201)]}\n" for name in ("n_layer", "batch_size", "seed"))
    with pytest.raises(InputError, match=r"14: phase 'one' has 8,000,000 permutations, more than 100,000"):
        study_of(f'[[phase]]\nname = "one"\n[phase.grid]\n{axes}')


def test_strings_and_comments_do_not_confuse_line_numbers(study_of: StudyOf) -> None:
    phases = """
# [[phase]]
[[phase]] # the first
name = "one"
[phase."grid"] # n_layer = 0
n_layer = [
  2, # n_embd = 0
]
"n_embd" = [64, true]
"""
    with pytest.raises(InputError, match=r"small\.toml:20: n_embd must be a whole number, not True"):
        study_of(phases)


@given(st.text(alphabet='[]{}="phasenmgrid.tiol_0123456789 \n#,\\', max_size=80))
def test_any_text_is_a_study_or_a_one_line_error(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_study('[study]\ncorpus = "x"\n' + text, Path("s.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tokens", "by"),
    [
        ("tokenizer = ['char']", "best_val_loss"),
        ("tokenizer = ['char', 'byte']", "best_bits_per_char"),
        ("tokenizer = ['bpe']\nvocab_size = [300]", "best_val_loss"),
        ("tokenizer = ['bpe']\nvocab_size = [300, 400]", "best_bits_per_char"),
    ],
)
def test_a_promotion_between_tokenizers_ranks_by_bits_per_character(study_of: StudyOf, tokens: str, by: str) -> None:
    phases = f"""
[[phase]]
name = "one"
[phase.grid]
learning_rate = [1e-3]
{tokens}
[[phase]]
name = "two"
promote = {{from = "one", top = 1}}
[[phase]]
name = "three"
tokenizer = "byte"
vocab_size = 0
promote = {{from = "two", top = 1}}
[[phase]]
name = "four"
promote = {{from = "three", top = 1}}
[[phase]]
name = "five"
promote = {{from = "one", top = 1, by = "val_loss"}}
"""
    found = {phase.name: phase.promotion.by for phase in study_of(phases).phases if phase.promotion}
    assert found == {"two": by, "three": by, "four": "best_val_loss", "five": "val_loss"}


def test_listed_and_derived_vocabularies_count_as_different(study_of: StudyOf) -> None:
    phases = """
[[phase]]
name = "listed"
[[phase.trial]]
learning_rate = 1e-3
[[phase.trial]]
learning_rate = 1e-3
tokenizer = "byte"
[[phase]]
name = "derived"
tokenizer = "bpe"
vocab_size = "256 * n_layer"
[phase.grid]
n_layer = [2, 3]
learning_rate = [1e-3]
[[phase]]
name = "a"
promote = {from = "listed", top = 1}
[[phase]]
name = "b"
promote = {from = "derived", top = 1}
"""
    phases_by_name = {phase.name: phase for phase in study_of(phases).phases}
    assert [phases_by_name[name].promotion.by for name in "ab"] == ["best_bits_per_char"] * 2


def test_a_key_with_thousands_of_dots_is_refused(study_of: StudyOf) -> None:
    with pytest.raises(InputError, match=r"small\.toml:15: has a key of more than 8 dotted names"):
        study_of(GRID + ".".join(["a"] * 20_000) + " = 1\n")
    for part in ('"a"', "'='", '"#"', '"\\"="', "a-b", "1"):
        with pytest.raises(InputError, match="has a key of more than 8 dotted names"):
            study_of(GRID + "x = {" + f" {part} ." * 20_000 + " a = 1}\n")


def test_many_numbers_and_long_comments_are_no_long_keys(study_of: StudyOf) -> None:
    rates = ", ".join(f"0.{number}" for number in range(1, 100))
    comment = "# " + "It's a.b.c.d. " * 20 + "\n"
    study = study_of(f'{comment}[[phase]]\nname = "one"\n[phase.grid]\nlearning_rate = [{rates}]\n')
    assert study.bounds["one"].trials_max == 90


def test_a_study_of_too_many_phases_is_refused(study_of: StudyOf) -> None:
    phases = "".join(f'[[phase]]\nname = "p{number}"\n' for number in range(20_000))
    with pytest.raises(InputError, match=r"small\.toml: has 20,000 phases, more than 200"):
        study_of(phases)
    inline = ", ".join(f'{{name = "p{number}"}}' for number in range(201))
    with pytest.raises(InputError, match=r"small\.toml:1: has 201 phases, more than 200"):
        parse_study(f"phase = [{inline}]\n", Path("small.toml"))


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a study have 1,000 permutations."""
    monkeypatch.setattr("litegpt.study.study.PERMUTATIONS_MAX", 1000)
    monkeypatch.setattr("litegpt.study.expand.PERMUTATIONS_MAX", 1000)
    monkeypatch.setattr("litegpt.study.expand.COMPARISONS_MAX", 50_000)


@pytest.mark.usefixtures("small_bounds")
def test_all_phases_together_have_a_largest_size(study_of: StudyOf) -> None:
    grid = f'[[phase]]\nname = "%s"\n[phase.grid]\nseed = {[*range(600)]}\n'
    with pytest.raises(InputError, match="phase 'two' has 600 permutations and the phases before it 600, together"):
        study_of(grid % "one" + grid % "two")


@pytest.mark.usefixtures("small_bounds")
def test_a_long_chain_of_promotions_lists_only_some_candidates(study_of: StudyOf) -> None:
    promotions = "".join(
        f'[[phase]]\nname = "p{number}"\npromote = {{from = "p{number - 1}", top = 9}}\n' for number in range(1, 200)
    )
    study = study_of(f'[[phase]]\nname = "p0"\n[phase.grid]\nseed = {[*range(30)]}\n' + promotions)
    listed = [bound.candidates is not None for bound in study.bounds.values()]
    assert sum(listed) == 33
    assert study.bounds["p1"].trials_max == 9


@pytest.mark.usefixtures("small_bounds")
def test_many_kinds_of_exclusions_are_refused(study_of: StudyOf) -> None:
    names = [*HYPERPARAMETERS][:9]
    kinds = [combination for count in range(1, 4) for combination in itertools.combinations(names, count)]
    rules = "".join(
        "[[phase.exclude]]\n" + "".join(f"{name} = {1 if name != 'dropout' else 0.5}\n" for name in kind)
        for kind in kinds
    )
    with pytest.raises(InputError, match="600 permutations and 129 kinds of exclusions; their product must be"):
        study_of(f'[[phase]]\nname = "one"\n[phase.grid]\nseed = {[*range(600)]}\n{rules}')
