"""`litegpt-tui --serve` answers only on this machine, and only with the token."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tui.app import main
from tui.location import StudyLocation
from tui.serve import application

ROOT = Path(__file__).parents[2]
TOKEN = "a-token"

pytest.importorskip("textual_serve", reason="textual-serve is not installed")


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

    asyncio.run(session())


STUBBORN_CONSOLE = """
import os, signal, sys

def send(text):
    data = text.encode()
    sys.stdout.buffer.write(b"D" + len(data).to_bytes(4, "big") + data)
    sys.stdout.buffer.flush()

print("__GANGLION__", flush=True)
send(f"{os.getpid()} {os.environ['COLUMNS']} x {os.environ['ROWS']}")
while header := sys.stdin.buffer.read(5):  # it ignores the request to quit
    send(sys.stdin.buffer.read(int.from_bytes(header[1:], "big")).decode())
signal.pause()
"""


def test_page_size_is_bounded_and_a_frozen_console_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import WSMsgType
    from aiohttp.test_utils import TestClient, TestServer

    from tui import serve_pages

    monkeypatch.setattr(serve_pages, "QUIT_SECONDS", 0.1)
    script = tmp_path / "console.py"
    script.write_text(STUBBORN_CONSOLE, encoding="utf-8")
    command = shlex.join([sys.executable, str(script)])

    async def session() -> tuple[int, int]:
        async with TestClient(TestServer(await application(command, 8000, TOKEN))) as client:
            async with client.ws_connect(f"/{TOKEN}/ws?width=999999999&height=999999999") as page:
                pid, size = (await page.receive_bytes()).decode().split(" ", 1)
                assert size == "1000 x 400"
                await page.send_json(["resize", {"width": 10**9, "height": -5}])
                assert json.loads(await page.receive_bytes()) == {"type": "resize", "width": 1000, "height": 1}
            async with client.ws_connect(f"/{TOKEN}/ws?width=80&height=24") as page:
                other = int((await page.receive_bytes()).split()[0])
                await page.send_json(["resize", "nonsense"])
                while (await page.receive()).type is not WSMsgType.CLOSE:
                    pass
            return int(pid), other

    for pid in asyncio.run(session()):
        assert not psutil.pid_exists(pid)


def test_page_loads_nothing_from_the_network() -> None:
    from aiohttp.test_utils import TestClient, TestServer

    async def session() -> None:
        async with TestClient(TestServer(await application("true", 8000, TOKEN))) as client:
            page = await client.get(f"/{TOKEN}/")
            text = await page.text()
            loaded = re.findall(r"""(?:href|src)=["']([^"']+)|url\(["']?([^"')]+)""", text)
            addresses = [address for pair in loaded for address in pair if address]
            assert any(address.endswith(".ttf") for address in addresses)
            assert {urlsplit(address).netloc for address in addresses} <= {"", "127.0.0.1:8000"}
            font = next(address for address in addresses if address.endswith(".ttf"))
            assert (await client.get(font)).status == 200
            assert "font-src 'self'" in page.headers["Content-Security-Policy"]

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
