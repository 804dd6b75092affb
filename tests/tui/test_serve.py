"""`litegpt-tui --serve` answers only on this machine, and only with the token."""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
from pathlib import Path

import pytest

from tui.app import main
from tui.location import StudyLocation
from tui.serve import application

ROOT = Path(__file__).parents[2]
TOKEN = "a-token"

pytest.importorskip("textual_serve", reason="textual-serve is not installed: pip install textual-serve")


def test_server_answers_only_with_the_token(finished: StudyLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import WSMsgType, WSServerHandshakeError
    from aiohttp.test_utils import TestClient, TestServer

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = shlex.join([sys.executable, "-m", "tui.app", "--readonly", str(finished.folder.path)])

    async def session() -> None:
        async with TestClient(TestServer(await application(command, 8000, TOKEN))) as client:
            for path in ("/", "/ws", "/static/js/textual.js", "/another/", f"/{TOKEN}x/ws"):
                refused = await client.get(path)
                assert refused.status == 403, path
            for refused_path in ("/ws", "/another/ws"):
                with pytest.raises(WSServerHandshakeError, match="403"):
                    await client.ws_connect(refused_path)
            rebound = await client.get(f"/{TOKEN}/", headers={"Host": "elsewhere.example"})
            assert rebound.status == 403

            page = await client.get(f"/{TOKEN}/")
            assert page.status == 200
            assert page.headers["Referrer-Policy"] == "no-referrer"
            assert f"ws://127.0.0.1:8000/{TOKEN}/ws" in await page.text()
            assert (await client.get(f"/{TOKEN}/static/js/textual.js")).status == 200
            async with client.ws_connect(f"/{TOKEN}/ws?width=100&height=30") as terminal:
                painted = b""
                async with asyncio.timeout(60):
                    while b"phase2" not in painted:
                        message = await terminal.receive()
                        assert message.type is WSMsgType.BINARY
                        painted += message.data
                    await terminal.send_json(["stdin", "q"])
                    while (await terminal.receive()).type is not WSMsgType.CLOSE:
                        pass
        await asyncio.sleep(0.2)  # textual-serve does not wait for the process

    asyncio.run(session())


def test_used_port_is_one_line(finished: StudyLocation, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([str(finished.folder.path), "--serve", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"cannot listen on port {port}" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("port", ["0", "70000", "-1", "x"])
def test_invalid_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["--serve", f"--port={port}"])
    assert ending.value.code == 2
    assert "is not a port" in capsys.readouterr().err
