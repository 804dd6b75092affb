from __future__ import annotations

from pathlib import Path

import pytest

from litegpt.errors import InputError
from litegpt.results.folder import StudyFolder, list_studies
from litegpt.run.requests import requests_folder

BAD_NAMES = ["", ".", "..", "../up", "a/b", "a\\b", "/etc", ".hidden", "nul\0", "two\nlines", "\x1b[2J", " ", "x" * 256]


def make_study(root: Path, name: str) -> StudyFolder:
    folder = StudyFolder(root, name)
    folder.path.mkdir(parents=True)
    folder.journal.touch()
    return folder


def test_paths_follow_the_layout(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, "small")
    trial = study.trial("phase1", "2x64")
    names = {path.relative_to(tmp_path).as_posix() for path in (study.snapshot, study.journal, study.lock, study.log)}
    assert names == {"small/study.toml", "small/journal.jsonl", "small/runner.lock", "small/runner.log"}
    assert trial.path == tmp_path / "small" / "phase1" / "2x64"
    files = {path.name for path in (trial.metrics, trial.samples, trial.checkpoint, trial.state, trial.best)}
    assert files == {
        "metrics.jsonl",
        "samples.jsonl",
        "checkpoint.safetensors",
        "state.json",
        "best.safetensors",
    }


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a study") as raised:
        StudyFolder(tmp_path, name)
    assert str(raised.value).isprintable()
    study = StudyFolder(tmp_path, "small")
    with pytest.raises(InputError, match="cannot name a phase"):
        study.trial(name, "trial")
    with pytest.raises(InputError, match="cannot name a trial"):
        study.trial("phase1", name)


@pytest.mark.parametrize("name", ["journal.jsonl", "study.toml", "runner.lock", "runner.log"])
def test_a_phase_cannot_have_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="a file of the study has that name"):
        StudyFolder(tmp_path, "small").trial(name, "trial")


def test_find_accepts_the_folder_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path, "small")
    assert StudyFolder.find(study.path) == study
    monkeypatch.chdir(study.path)
    assert StudyFolder.find(Path(".")) == study
    monkeypatch.chdir(tmp_path)
    assert StudyFolder.find(Path("small")) == StudyFolder(Path("."), "small")


def test_find_explains_a_wrong_path(tmp_path: Path) -> None:
    study = make_study(tmp_path, "four-phases")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="it holds the studies four-phases"):
        StudyFolder.find(tmp_path)
    with pytest.raises(InputError, match=r"empty: not the folder of a study: it holds no journal\.jsonl"):
        StudyFolder.find(empty)
    with pytest.raises(InputError, match="a file, where"):
        StudyFolder.find(study.journal)
    with pytest.raises(InputError, match=r"no such folder \(did you mean 'four-phases'\?\)"):
        StudyFolder.find(tmp_path / "four-phase")


def test_studies_are_listed_by_name(tmp_path: Path) -> None:
    assert list_studies(tmp_path / "missing") == []
    second, first = make_study(tmp_path, "second"), make_study(tmp_path, "first")
    (tmp_path / "no study").mkdir()
    (tmp_path / "file").touch()
    assert list_studies(tmp_path) == [first, second]


def test_no_phase_can_have_the_name_of_a_file_of_the_study(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, "s")
    for path in (folder.snapshot, folder.journal, folder.lock, folder.log, requests_folder(folder)):
        with pytest.raises(InputError, match="cannot name a phase"):
            folder.trial(path.name, "t")
