"""Paths of a study's results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from litegpt.display import HARMFUL, inert
from litegpt.errors import InputError, did_you_mean
from litegpt.study.phase import is_reserved

LONGEST_NAME_BYTES = 255


def is_name(name: str) -> bool:
    """Return whether this can name a folder: inside its parent, not hidden, printable and not too long for a disk."""
    return (
        name[:1] not in ("", ".", " ")
        and "/" not in name
        and "\\" not in name
        and not HARMFUL.search(name)
        and len(name.encode()) <= LONGEST_NAME_BYTES
    )


@dataclass(frozen=True)
class TrialFolder:
    """The files of one trial: results/<study>/<phase>/<trial>."""

    path: Path

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def error(self) -> Path:
        return self.path / "error.txt"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def tokenizers(self) -> Path:
        """The folder of the vocabularies that the study's trials have learned."""
        return self.path.parents[1] / "tokenizers"

    def find_best(self) -> Path:
        """Return the file of the best weights. Raises InputError if it is missing."""
        if not self.best.is_file():
            raise InputError(
                "no best.safetensors here: name a trial's folder, results/<study>/<phase>/<trial>", self.path
            )
        return self.best

    def quantized(self, bits: int) -> Path:
        """Return the file of the best weights in 8 or 4 bits, which may not exist."""
        return self.path / f"best-{bits}bit.safetensors"


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study: results/<study>. Raises InputError for a name that would lead elsewhere."""

    root: Path
    study: str

    def __post_init__(self) -> None:
        _check_name(self.study, "a study")

    @classmethod
    def find(cls, path: Path) -> StudyFolder:
        """Return the study in a folder that a user named. Raises InputError, with suggestions, if it has none."""
        absolute = path.resolve()
        if _holds_study(absolute):
            return cls(absolute.parent, absolute.name) if path.name in ("", "..") else cls(path.parent, path.name)
        if absolute.is_dir():
            names = [folder.study for folder in list_studies(path)]
            held = f"it holds the studies {', '.join(names)}" if names else "it holds no journal.jsonl"
            raise InputError(f"not the folder of a study: {held}", path)
        if absolute.exists():
            raise InputError("a file, where the folder of a study is wanted (results/<study>)", path)
        near = did_you_mean(path.name, [folder.study for folder in list_studies(path.parent)])
        raise InputError(f"no such folder{near}", path)

    @property
    def path(self) -> Path:
        return self.root / self.study

    @property
    def snapshot(self) -> Path:
        return self.path / "study.toml"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "runner.lock"

    @property
    def log(self) -> Path:
        return self.path / "runner.log"

    def trial(self, phase: str, trial_id: str) -> TrialFolder:
        """Return a trial's folder. Raises InputError for a name that would lead elsewhere."""
        _check_name(phase, "a phase")
        _check_name(trial_id, "a trial")
        if is_reserved(phase):
            raise InputError(f"'{phase}' cannot name a phase: a file of the study has that name")
        return TrialFolder(self.path / phase / trial_id)

    def check_no_links(self, phase: str, trial_ids: Iterable[str]) -> None:
        """Raise InputError if a link would lead writes out of the results folder."""
        for path in (self.path / phase, *(self.trial(phase, trial_id).path for trial_id in trial_ids)):
            if path.is_symlink():
                raise InputError("is a link, and results are written where they are", path)


def token_cache() -> Path:
    """Return the folder for the tokens of long texts, shared by all studies of this user. It may be deleted."""
    return platformdirs.user_cache_path("litegpt") / "tokens"


def list_studies(root: Path) -> list[StudyFolder]:
    """Return the studies in a results folder by name; none if the folder is missing."""
    if not root.is_dir():
        return []
    names = sorted(entry.name for entry in root.iterdir() if is_name(entry.name) and _holds_study(entry))
    return [StudyFolder(root, name) for name in names]


def _holds_study(path: Path) -> bool:
    return (path / "journal.jsonl").is_file() or (path / "study.toml").is_file()


def _check_name(name: str, what: str) -> None:
    if not is_name(name):
        raise InputError(
            f"'{inert(name)}' cannot name {what}: it takes a plain folder name (no slashes, no leading dot)"
        )
