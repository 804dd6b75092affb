"""Splits: each rule divides a text into two splits, always in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.study.snapshot import snapshot
from litegpt.study.split import SplitRule
from litegpt.study.study import parse_study
from litegpt.text.corpus import Corpus, read_corpus
from litegpt.text.split import SplitText, cut, last, spread
from tests.builders import study_text

TEXTS = {"a.txt": "alpha " * 70, "b.txt": "beta " * 90, "c.txt": "gamma " * 50, "d.txt": "delta " * 30}
PHASE = """\
[[phase]]
name = "one"
max_iters = 1
[[phase.trial]]
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    (tmp_path / "texts").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "texts" / name).write_text(text)
    return read_corpus("texts", tmp_path)


def rules(corpus: Corpus) -> list[SplitRule]:
    globs = [str(corpus.base / "texts" / name) for name in ("[bc].txt", "d.*", "a.txt")]
    return [
        SplitRule(),
        SplitRule("last", 0.37),
        SplitRule("blocks", 0.1),
        SplitRule("blocks", 0.33, seed=7),
        SplitRule("blocks", 0.999),
        SplitRule("blocks", 0.0001),
        *(SplitRule("files", files=files) for files in globs),
    ]


def test_every_character_belongs_to_exactly_one_split(corpus: Corpus) -> None:
    for rule in rules(corpus):
        split = SplitText(corpus, rule)
        covered = sorted([*split.train_ranges, *split.validation_ranges])
        assert [start for start, _ in covered] == [0, *(end for _, end in covered[:-1])], rule
        assert covered[-1][1] == corpus.characters
        assert (len(split.train_text), len(split.validation_text)) == (
            split.train_characters,
            split.validation_characters,
        )
        assert split.train_characters > 0 < split.validation_characters, rule
        again = SplitText(read_corpus("texts", corpus.base), rule)
        assert again.digest == split.digest
    assert len({SplitText(corpus, rule).digest for rule in rules(corpus)}) == len(rules(corpus))


def test_the_validation_split_may_be_the_end(corpus: Corpus) -> None:
    split, text = SplitText(corpus, SplitRule(fraction=0.2)), corpus.text
    cut = int(len(text) * (1 - 0.2))
    assert (split.train_text, split.validation_text) == (text[:cut], text[cut:])


def test_the_seed_draws_the_blocks(corpus: Corpus) -> None:
    split = SplitText(corpus, SplitRule("blocks", 0.2))
    size = -(-corpus.characters // 100)
    assert all(start % size == 0 for start, _ in split.validation_ranges)
    assert split.validation_characters == pytest.approx(0.2 * corpus.characters, abs=2 * size)
    assert len(split.validation_ranges) > 5, "the blocks are spread over the text"
    other = SplitText(corpus, SplitRule("blocks", 0.2, seed=1))
    assert other.validation_ranges != split.validation_ranges


def test_the_length_of_blocks_is_limited(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litegpt.text.split.BLOCK_CHARACTERS_MAX", 3)
    split = SplitText(corpus, SplitRule("blocks", 0.25))
    assert all(start % 3 == 0 for start, _ in split.validation_ranges)
    assert split.validation_characters == pytest.approx(corpus.characters / 4, abs=3)


def test_the_validation_split_may_consist_of_files(corpus: Corpus) -> None:
    split = SplitText(corpus, SplitRule("files", files=str(corpus.base / "texts" / "[bd].txt")))
    assert split.validation_text == TEXTS["b.txt"] + "\n" + TEXTS["d.txt"]
    assert split.train_text == TEXTS["a.txt"] + "\n" + TEXTS["c.txt"] + "\n"


def test_validation_files_may_be_a_folder(tmp_path: Path) -> None:
    for name, text in {"train/x.txt": "one", "train/y.txt": "two", "held/deep/z.txt": "three"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    split = SplitText(read_corpus(".", tmp_path), SplitRule("files", files=str(tmp_path / "held")))
    assert (split.validation_text, split.train_text) == ("three\n", "one\ntwo")


@pytest.mark.parametrize(("files", "how_many"), [("*.md", "none"), ("*.txt", "all"), ("**", "all")])
def test_files_must_leave_two_splits(corpus: Corpus, files: str, how_many: str) -> None:
    split = SplitText(corpus, SplitRule("files", files=str(corpus.base / "texts" / files)))
    with pytest.raises(InputError, match=f"validation_files matches {how_many} of the corpus's files"):
        split.check_length(1)


@pytest.mark.parametrize("text", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("how", ["last", "blocks"])
def test_a_text_that_is_too_short_is_reported(tmp_path: Path, text: str, how: str) -> None:
    (tmp_path / "t").write_text(text)
    split = SplitText(read_corpus("t", tmp_path), SplitRule(how))
    assert split.train_text + split.validation_text in (text, text[::-1])
    with pytest.raises(InputError, match=r"the corpus is too short: its smaller split has .* a block of 8 needs 9"):
        split.check_length(8)


def test_ranges_are_cut_and_sampled() -> None:
    ranges = [(10, 20), (30, 35), (40, 100)]
    assert last(ranges, 62) == [(33, 35), (40, 100)]
    assert last(ranges, 1000) == ranges
    assert cut(ranges, 0, 11) == [(10, 20), (30, 31)]
    assert cut(ranges, 15, 16) == [(40, 41)]
    assert spread(ranges, 75, part_length=4) == ranges
    assert spread(ranges, 14, part_length=4) == [(10, 14), (60, 64), (96, 100)]
    assert spread(ranges, 1, part_length=4) == [(10, 14), (96, 100)]


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ("", SplitRule()),
        ("split = 'last'\nvalidation_fraction = 0.25\n", SplitRule(fraction=0.25)),
        ("split = 'blocks'\n", SplitRule("blocks")),
        ("split = 'blocks'\nsplit_seed = 3\nvalidation_fraction = 0.2\n", SplitRule("blocks", 0.2, 3)),
        ("split = 'files'\nvalidation_files = '../held/*.txt'\n", SplitRule("files", files="/held/*.txt")),
    ],
)
def test_a_snapshot_keeps_the_split_of_its_study(keys: str, rule: SplitRule) -> None:
    study = parse_study(study_text(PHASE, study=keys), Path("/[here]/s.toml"))
    assert study.split == rule
    written = snapshot(study, {})
    assert parse_study(written, Path("/elsewhere/study.toml")).split == rule
    assert ("split" in written) == (rule.how != "last"), "earlier versions did not write the default split"
