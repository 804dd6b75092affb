"""Messages as lines of JSON, and lines that are not messages."""

from __future__ import annotations

import json

import pytest

from litegpt.results.metric import TrialMetrics
from litegpt.worker import messages
from litegpt.worker.messages import Message, parse

TRIAL = messages.TrialRequest(phase="p", settings={"n_layer": 1}, folder="/f", attempt=2, start_from=None)
TRAIN = messages.TrainPack(
    pack="p1", corpus="c\n\u2028ü", corpus_base="/b", corpus_sha256="00", split={}, trials=[TRIAL]
)


@pytest.mark.parametrize(
    "message",
    [
        TRAIN,
        messages.StopPack(pack="p1"),
        messages.Ready(pid=1, device="cpu", device_name="CPU", precision="fp32", torch="2"),
        messages.Unusable(reason="none"),
        messages.Alive(pack="p1", trials=["a", "b"], step=3),
        messages.TrialEvaluated(phase="p", trial="a", step=3, train_loss=None, val_loss=1.25, tokens_per_second=1e6),
        messages.TrialOver(phase="p", trial="a", state="done", metrics=TrialMetrics(step=3, val_loss=1.1)),
        messages.PackOver(pack="p1", wall_seconds=0.5),
    ],
    ids=lambda message: message.kind,
)
def test_a_message_is_one_line_and_is_parsed_back(message: Message) -> None:
    line = message.line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert parse(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"a library says hello\n",
        b"{\n",
        b"null\n",
        b"5\n",
        b'"ready"\n',
        b"[1, 2]\n",
        b"\xff\xfe\n",
        b"{}\n",
        b'{"kind": "nothing"}\n',
        b'{"kind": ["ready"]}\n',
        b'{"kind": "stop"}\n',
        b'{"kind": "stop", "pack": "p1", "more": 1}\n',
        b"[" * 100_000,
        json.dumps({**json.loads(TRAIN.line()), "trials": [5]}).encode(),
        json.dumps({**json.loads(TRAIN.line()), "trials": [{}]}).encode(),
        json.dumps({**json.loads(TRAIN.line()), "trials": None}).encode(),
    ],
)
def test_other_lines_are_not_messages(line: bytes) -> None:
    assert parse(line) is None
