"""`litegpt-tui --serve`: the console in a browser on this machine, at an address with a secret token."""

from __future__ import annotations

import argparse
import secrets
import shlex
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from litegpt.errors import InputError
from litegpt.extras import optional_imports, require
from litegpt.processes import module_command

if TYPE_CHECKING:
    from aiohttp import web

# Only this machine: everyone with access to the page can launch studies.
HOST = "127.0.0.1"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHUTDOWN_SECONDS = 2.0


def serve(arguments: argparse.Namespace) -> None:
    """Serve the console until interrupted. InputError: textual-serve is missing, or the port is taken."""
    require("textual_serve", "--serve")
    with optional_imports("--serve"):
        from aiohttp import web

    token = secrets.token_urlsafe(24)
    served = application(_command(arguments), arguments.port, token)
    address = f"http://{HOST}:{arguments.port}/{token}/"
    try:
        web.run_app(
            served,
            host=HOST,
            port=arguments.port,
            # A log would contain the secret address.
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
            print=lambda *_: _announce(address),
        )
    except OSError as error:
        raise InputError(
            f"cannot listen on port {arguments.port} ({error.strerror}); choose another one with --port"
        ) from None


async def application(command: str, port: int, token: str) -> web.Application:
    """Return a server with textual-serve's pages below /<token>/. It answers 403 to everything else.

    The token is in the path, so that the page's relative links and its WebSocket contain it automatically.
    """
    from aiohttp import web

    from tui.serve_pages import ConsoleServer

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.path.removeprefix("/").partition("/")[0]
        # Refuse foreign host names that resolve to this machine (DNS rebinding).
        is_local = urlsplit(f"//{request.host}").hostname in LOOPBACK
        if not is_local or not secrets.compare_digest(given.encode(), token.encode()):
            raise web.HTTPForbidden(text="The address of the console contains a token; litegpt-tui printed it.\n")
        return await handler(request)

    # The browser enforces that the page loads nothing from the network and tells no other site its address.
    headers = {
        "Content-Security-Policy": (
            "style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' ws://{HOST}:{port}"
        ),
        "Referrer-Policy": "no-referrer",
    }

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers)

    server = ConsoleServer(command, host=HOST, port=port, title="litegpt")
    server.console.quiet = True
    served = web.Application(middlewares=[guard])
    served.on_response_prepare.append(add_headers)
    served.add_subapp(f"/{token}/", await server._make_app())
    return served


def _command(arguments: argparse.Namespace) -> str:
    """Return the command that runs for each opened page."""
    command = module_command("tui.app", "--results", str(arguments.results))
    command += ["--readonly"] if arguments.readonly else []
    command += ["--replay", str(arguments.replay)] if arguments.replay else []
    command += ["--", str(arguments.study)] if arguments.study else []
    return shlex.join(command)


def _announce(address: str) -> None:
    print(address, flush=True)  # noqa: T201
    print("Anyone with this address can run studies as you. ctrl+c ends the server.", file=sys.stderr)  # noqa: T201
