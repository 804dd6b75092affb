from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from litegpt.results.samples import Copied, Sample, SampleReader, append_sample, read_samples
from litegpt.text.copied import CorpusIndex

SAMPLE = Sample(
    step=500,
    loss=2.1,
    text="Once\nupon \x1b[2J",
    prompt="Once",
    temperature=0.8,
    seed=1,
    attempt=1,
    time="2026-11-23T22:19:57.123Z",
)


def test_samples_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "trial" / "samples.jsonl"
    assert read_samples(path) == []
    append_sample(path, SAMPLE)
    append_sample(path, replace(SAMPLE, step=0), replace(SAMPLE, prompt="Twice"))
    assert read_samples(path) == [replace(SAMPLE, step=0), SAMPLE, replace(SAMPLE, prompt="Twice")]


def test_the_copied_share_is_optional(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    copied = Copied(share=0.25, longest=12, validation_share=0.0, validation_longest=0)
    append_sample(path, replace(SAMPLE, copied=copied))
    with path.open("a") as file:
        file.write('{"step": 600, "text": "of an older version"}\n{"step": 700, "text": "", "copied": {"share": 1}}\n')
    assert [sample.copied for sample in read_samples(path)] == [copied, None, None]


def test_a_record_in_words_is_replaced_where_words_are_no_measure(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    letters = "".join(random.Random(0).choices("ACGT", k=2000))
    in_words = Copied(share=0.0, longest=0, validation_share=0.0, validation_longest=0)
    append_sample(path, replace(SAMPLE, text=letters[100:300], copied=in_words))
    (sample,) = read_samples(path)
    assert sample.measured(None) == in_words
    assert sample.measured(CorpusIndex("some words " * 50, "other words")) == in_words
    copied = sample.measured(CorpusIndex(letters, "GATTACA"))
    assert copied == Copied(share=1, longest=200, validation_share=0, validation_longest=0, unit="characters")
    append_sample(path, replace(SAMPLE, copied=copied))
    assert read_samples(path)[-1].copied == copied


def test_a_later_attempt_replaces_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    append_sample(path, SAMPLE, replace(SAMPLE, text="again", attempt=2))
    assert [sample.text for sample in read_samples(path)] == ["again"]


def test_an_appended_sample_gets_the_time(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    append_sample(path, replace(SAMPLE, time=None))
    (sample,) = read_samples(path)
    assert sample.time is not None


def test_a_reader_follows_and_lines_without_text_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    reader = SampleReader(path)
    assert not reader.poll()
    path.write_text('{"step": 1}\n{"text": "no step"}\n')
    append_sample(path, SAMPLE)
    assert reader.poll()
    assert reader.rows() == [SAMPLE]
