"""A new study file for a text on this machine: what `litegpt init` and the console's dialog for a new study do."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from litegpt.errors import InputError
from litegpt.estimate.forecast import Throughput
from litegpt.estimate.proposal import Proposal, TextCounts, propose
from litegpt.files import sync_folder
from litegpt.run.device_discovery import present_device, throughput_of, worker_slots
from litegpt.study.tables import name_problem
from litegpt.text.corpus import TEXT_FILES, Corpus, read_corpus
from litegpt.text.decoding import PIECE_BYTES

DEFAULT_NAME = "study"
NAME_CHARACTERS = 40  # of a name that is made from a text's


@dataclass(frozen=True)
class NewStudy:
    """A study file that is not written yet."""

    path: Path
    name: str
    corpus: Corpus
    throughput: Throughput
    proposal: Proposal
    cleaning_hint: str  # empty if cleaning would change nothing

    def write(self) -> None:
        """Write the file. InputError: it exists, or cannot be written."""
        data = self.proposal.text.encode()
        try:
            with self.path.open("xb") as file:
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    self.path.unlink()
                    raise
            sync_folder(self.path.parent)
        except FileExistsError:
            raise _exists(self.path) from None
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", self.path) from None


def new_study(
    text: str | None,
    path: Path,
    *,
    name: str | None = None,
    minutes: float = 5.0,
    template: str = "sweep",
    device: str = "auto",
) -> NewStudy:
    """Return a study of a text: a file, a folder or a glob; None stands for the only text in the current folder.

    InputError: the text cannot be read or is too short, the file exists, or an option is invalid.
    """
    if os.path.lexists(path):
        raise _exists(path)
    if not path.parent.is_dir():
        raise InputError("no such folder", path.parent)
    if problem := name_problem(name) if name is not None else None:
        raise InputError(problem)
    slots = worker_slots(device)
    throughput = throughput_of(present_device(slots), path.parent / "results", len(slots))
    corpus = read_corpus(text or _only_text(Path()), Path())
    counts = TextCounts(corpus.characters, len(corpus.symbols))
    hint = cleaning_hint(corpus)
    name = name or free_name(corpus.path, path.parent)
    relative = relative_path(corpus.path, path.parent)
    proposal = propose(name, relative, counts, throughput, minutes, template, [hint] if hint else [])
    return NewStudy(path, name, corpus, throughput, proposal, hint)


def _exists(path: Path) -> InputError:
    return InputError("exists already, and nothing was written; name another file", path)


def _only_text(folder: Path) -> str:
    texts = sorted({file.name for pattern in TEXT_FILES for file in folder.glob(pattern) if file.is_file()})
    if len(texts) == 1:
        return texts[0]
    found = f"this folder has {len(texts):,} of them" if texts else "this folder has no .txt file"
    raise InputError(f"name the text to train on, for example book.txt; {found}")


def free_name(corpus: str, folder: Path) -> str:
    """Return a name for the study of a text that no results in `folder` have."""
    stem = Path(corpus).name.removesuffix(".gz").rpartition(".")[0] or Path(corpus).name
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:NAME_CHARACTERS] or DEFAULT_NAME
    names = (stem, *(f"{stem}-{number}" for number in range(2, 10_000)))
    return next(name for name in names if not name_problem(name) and not os.path.lexists(folder / "results" / name))


def relative_path(corpus: str, folder: Path) -> str:
    """Return the path of a text as a study file in `folder` names it. InputError: TOML cannot hold it."""
    text, base = os.path.abspath(corpus), os.path.abspath(folder)
    path = os.path.relpath(text, base)
    # The parent of a linked folder is not where its path says.
    if path.startswith("..") and os.path.realpath(base) != base:
        path = text
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError("the name is not UTF-8, so that a study file cannot contain it; rename it", corpus) from None
    return path


def cleaning_hint(corpus: Corpus) -> str:
    """Return a sentence about what cleaning would change at the beginning of a text; empty if that is nothing."""
    # Cleaning loads ftfy, and the console imports this module.
    from litegpt.text.cleaning.clean import cleaning_changes

    changes = cleaning_changes(next(corpus.pieces(end=PIECE_BYTES), "")).counts
    if not changes:
        return ""
    count = sum(changes.values())
    what = f"Cleaning would change {count:,} place{'s' * (count != 1)} ({', '.join(changes)})"
    first = corpus.files[0]
    many = "" if len(corpus.files) == 1 else " for each file"
    return f"{what}: litegpt clean {first} --diff shows them{many}."
