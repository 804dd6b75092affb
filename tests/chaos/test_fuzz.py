"""Thousands of damaged inputs for everything that reads a file: it answers, or refuses in one line."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from litegpt.analysis.imported import ImportedPhase, check_new, write_study
from litegpt.analysis.mapped import read_mapping, read_table
from litegpt.analysis.original import read_folder
from litegpt.analysis.study_file import write_study_file
from litegpt.display import inert
from litegpt.errors import InputError
from litegpt.results.check import check_study
from litegpt.results.folder import StudyFolder
from litegpt.results.journal import read_journal
from litegpt.results.metrics import read_metrics
from litegpt.results.ranking import best_of
from litegpt.results.samples import read_samples
from litegpt.results.weights import weights_fault
from litegpt.run.lock import runner_at_work
from litegpt.run.phases import resolve_study
from litegpt.run.requests import requests_folder, take_requests
from litegpt.study.expression import parse
from litegpt.study.study import parse_study
from litegpt.train.checkpoint import read_checkpoint

INPUTS = int(os.environ.get("LITEGPT_FUZZ_INPUTS", "1500"))  # for each reader
SEED = int(os.environ.get("LITEGPT_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SLOWEST_SECONDS = 5.0  # an input of a few KB that takes longer is an attack
ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "results" / "written_by_0_1" / "kept"
TRIAL = KEPT / "first" / "1x4-t8-b2-lr0.01-i20-7a01aedb"

TOKENS = [
    *(
        b"\0",
        b"\xff",
        b"\n",
        b"\r\n",
        b"\x1b[2J",
        b'"',
        b"'",
        b"[",
        b"]",
        b"{",
        b"}",
        b"=",
        b",",
        b"#",
        b"..",
        b"/",
        b"%",
    ),
    *(
        b"-1",
        b"0",
        b"1e309",
        b"-1e400",
        b"nan",
        b"inf",
        b"1" * 400,
        b"9" * 5000,
        b"0x",
        b"1_0",
        b"true",
        b"null",
        b"\xef\xbb\xbf",
    ),
    *(b"[[phase]]", b"[phase.grid]", b"[phase.promote]", b"[[phase.exclude]]", b"[[phase.trial]]", b"[defaults]"),
    *(
        b'from = "first"',
        b"n_embd",
        b"n_head",
        b"max_iters = 1",
        b"eval_interval = 1",
        b"seed = [1, 2]",
        b"n_embd ** n_embd",
    ),
    *(b'"step": ', b'"trial": ', b'"phase": ', b'"settings": {}', b'"event": "trial_ended"', b'"trials": [[[]]]'),
    *("ü".encode(), "\u202e".encode(), "\U0001f600".encode(), b"\xed\xa0\x80", b"../../etc", b"con", b"a" * 300),
]


def mutate(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return data with a few changes: bytes, tokens, parts cut, doubled, moved, or taken from another file."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        at = chance.randint(0, len(changed))
        end = min(len(changed), at + chance.choice((1, 2, 5, 20, 200)))
        match chance.randrange(7):
            case 0 if changed:
                changed[min(at, len(changed) - 1)] = chance.randrange(256)
            case 1:
                del changed[at:end]
            case 2:
                changed[at:at] = changed[at:end] * chance.choice((1, 2, 50))
            case 3:
                begin = chance.randint(0, len(other))
                changed[at:at] = other[begin : begin + 100]
            case 4:
                del changed[at:]
            case _:
                changed[at : at + chance.choice((0, 0, 1, 3, 8))] = chance.choice(TOKENS)
    return bytes(changed)


def read_a_study(data: bytes, folder: Path) -> None:
    study = parse_study(data.decode("utf-8", "replace"), folder / "s.toml")
    if all(bound.trials_max < 5000 for bound in study.bounds.values()):
        resolve_study(study, read_journal(folder / "none"))


def read_an_expression(data: bytes, folder: Path) -> None:
    source = data.decode("utf-8", "replace")
    try:
        expression = parse(source)
        expression.evaluate(dict.fromkeys(expression.names, 7))
    except ValueError as error:
        raise InputError(str(error)) from None


def read_results(name: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        results = StudyFolder(folder, "kept")
        path = results.path / name
        path.write_bytes(data)
        state = read_journal(results.journal)
        best_of(state.trials())
        read_metrics(results.trial("first", TRIAL.name).metrics)
        read_samples(results.trial("first", TRIAL.name).samples)
        check_study(results, is_at_work=False)

    return read


def read_weights(data: bytes, folder: Path) -> None:
    path = folder / "best.safetensors"
    path.write_bytes(data)
    fault = weights_fault(path)
    if fault is not None:
        assert "\n" not in fault
        read_checkpoint(path)
        raise AssertionError("torch reads what is damaged")


def read_lock_and_requests(data: bytes, folder: Path) -> None:
    results = StudyFolder(folder, "kept")
    results.lock.write_bytes(data)
    runner_at_work(results.lock)
    requests_folder(results).mkdir(exist_ok=True)
    (requests_folder(results) / "1.json").write_bytes(data)
    take_requests(results)


LOG = b"""BEGINNING (1681949651.01): Baseline LR(0.001) Heads(1) Embeddings(64) Block Size(32) Batch Size(32) Layers(2)
torch.Size([1024, 86])
step 0: train loss 4.6367, val loss 4.6515 [0.5 sec]
step 100: train loss 2.3377, val loss 2.4433 [1.5 sec]
1.9401
Total Training Time: 3.5 seconds

He said
"""
MAPPING = b"""[columns]
learning_rate = "lr"
step = "it"
train_loss = "loss"
text = "sample"
[fixed]
n_head = 4
n_embd = 64
n_layer = 2
block_size = 64
batch_size = 32
max_iters = 100
"""
TABLE = b'lr,it,loss,sample\n0.001,0,4.5,\n0.001,100,2.5,"a, b"\n0.01,0,4.5,\n0.01,100,nan,c\n'


def import_phase(phase: ImportedPhase, folder: Path) -> None:
    results = StudyFolder(folder / "imported", "study")
    shutil.rmtree(results.path, ignore_errors=True)
    check_new(results, [phase])
    write_study(results, [phase], ["a stranger"])
    best_of(read_journal(results.journal).trials())
    with contextlib.suppress(InputError):
        write_study_file(results, [phase], ["a stranger"])


def import_a_log(data: bytes, folder: Path) -> None:
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "output.txt").write_bytes(data)
    import_phase(read_folder(logs), folder)


def import_a_table(data: bytes, folder: Path) -> None:
    table, mapping = folder / "table.csv", folder / "mapping.toml"
    table.write_bytes(data)
    mapping.write_bytes(MAPPING)
    import_phase(read_table(table, read_mapping(mapping)), folder)


def import_a_mapping(data: bytes, folder: Path) -> None:
    table, mapping = folder / "table.csv", folder / "mapping.toml"
    table.write_bytes(TABLE)
    mapping.write_bytes(data)
    import_phase(read_table(table, read_mapping(mapping)), folder)


Reader = Callable[[bytes, Path], None]
READERS: dict[str, tuple[Reader, list[bytes]]] = {
    "study": (
        read_a_study,
        [(ROOT / "experiments.toml").read_bytes(), (KEPT / "study.toml").read_bytes()]
        + [path.read_bytes() for path in sorted((ROOT / "studies").glob("*.toml"))],
    ),
    "expression": (read_an_expression, [b"n_embd // 64", b"min(n_embd, 4 * n_layer) ** 2", b"-(1.5e3 % n_head)"]),
    "journal": (read_results("journal.jsonl"), [(KEPT / "journal.jsonl").read_bytes()]),
    "metrics": (read_results(f"first/{TRIAL.name}/metrics.jsonl"), [(TRIAL / "metrics.jsonl").read_bytes()]),
    "samples": (read_results(f"first/{TRIAL.name}/samples.jsonl"), [(TRIAL / "samples.jsonl").read_bytes()]),
    "weights": (read_weights, [(TRIAL / "best.safetensors").read_bytes()]),
    "lock and requests": (
        read_lock_and_requests,
        [(KEPT / "runner.lock").read_bytes(), next((KEPT / "requests").iterdir()).read_bytes()],
    ),
    "log to import": (import_a_log, [LOG, LOG * 2]),
    "table to import": (import_a_table, [TABLE]),
    "mapping to import": (import_a_mapping, [MAPPING]),
}


@pytest.mark.parametrize("name", READERS)
def test_damaged_input(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader, seeds = READERS[name]
    shutil.copytree(KEPT, tmp_path / "kept")
    chance = random.Random(f"{SEED} {name}")
    others = [seed for _, known in READERS.values() for seed in known]
    refused, slowest = 0, 0.0
    for _ in range(INPUTS):
        data = mutate(chance.choice(seeds), chance.choice(others), chance)
        started, lines = time.monotonic(), [""]
        try:
            reader(data, tmp_path)
        except InputError as error:
            refused += 1
            lines = inert(str(error)).splitlines()  # as commands print it
        except BaseException:
            (Path(tempfile.gettempdir()) / f"fuzz-{name.replace(' ', '-')}.bin").write_bytes(data)
            raise
        assert len(lines) == 1, data
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < SLOWEST_SECONDS
    with capsys.disabled():
        print(f"\n{name}: {INPUTS:,} inputs, {refused:,} refused, the slowest {slowest * 1000:.0f} ms", end=" ")
