"""The pages of `litegpt-tui --serve`: textual-serve's, with bounded terminals, no leftover consoles and local fonts."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

# A page cannot ask for a larger terminal: the console would need gigabytes to draw it.
COLUMNS_MAX, ROWS_MAX = 1_000, 400
# A console that does not quit in this time is killed.
QUIT_SECONDS = 5.0
# The page loads its font from this address. textual-serve contains the same font as a file.
REMOTE_FONT = re.compile(r"<link[^>]*https://fonts\.googleapis\.com[^>]*>")
LOCAL_FONT = (
    '<style>@font-face {{ font-family: "Roboto Mono"; src: url("{static}fonts/RobotoMono-VariableFont_wght.ttf"); }}'
    "</style>"
)


class ConsoleProcess(AppService):
    """The console behind one page."""

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        # Without a shell in between, killing the process kills the console.
        self._process = await asyncio.create_subprocess_exec(
            *shlex.split(self.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._build_environment(width=width, height=height),
        )
        self._stdin = self._process.stdin
        return self._process

    async def start(self, width: int, height: int) -> None:
        await super().start(_bounded(width, COLUMNS_MAX), _bounded(height, ROWS_MAX))

    async def set_terminal_size(self, width: int, height: int) -> None:
        await super().set_terminal_size(_bounded(width, COLUMNS_MAX), _bounded(height, ROWS_MAX))

    async def stop(self) -> None:
        """Ask the console to quit, and kill it if it does not."""
        try:
            await asyncio.wait_for(super().stop(), QUIT_SECONDS)
        finally:
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()


class ConsoleServer(Server):
    """Serves one console per page."""

    def __init__(self, command: str, *, host: str, port: int, title: str) -> None:
        super().__init__(command, host=host, port=port, title=title)
        self._consoles: set[ConsoleProcess] = set()

    async def on_shutdown(self, app: web.Application) -> None:
        """Stop the consoles of all open pages."""
        await asyncio.gather(*(console.stop() for console in self._consoles), return_exceptions=True)

    async def handle_index(self, request: web.Request) -> web.Response:
        """Return the page, with its font from this server."""
        response = await super().handle_index(request)
        assert isinstance(response, web.Response)
        static = request.app.router["static"].url_for(filename="/").path.rstrip("/") + "/"
        response.text = REMOTE_FONT.sub(LOCAL_FONT.format(static=static), response.text or "")
        return response

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run a console for as long as its page is open."""
        websocket = web.WebSocketResponse(heartbeat=15)
        await websocket.prepare(request)

        async def close() -> None:
            await websocket.close()

        console = ConsoleProcess(
            self.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        self._consoles.add(console)
        try:
            await console.start(to_int(request.query.get("width", ""), 80), to_int(request.query.get("height", ""), 24))
            # A message that is not textual-serve's ends the page.
            with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError):
                await self._process_messages(websocket, console)
        finally:
            with contextlib.suppress(TimeoutError):
                await console.stop()
            self._consoles.discard(console)
            await websocket.close()
        return websocket


def _bounded(size: object, largest: int) -> int:
    return min(largest, max(1, size)) if isinstance(size, int) else 1
