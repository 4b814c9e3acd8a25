"""How a tool server is reached: a child process over its pipes, or an address over Streamable HTTP."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from yarl import URL

from bot.network import Network
from bot.tools import launcher
from bot.tools.config import ToolServer
from bot.tools.http import NetworkTransport
from bot.tools.oauth import ClientLogin

_CONNECT_TIMEOUT = 10.0


@asynccontextmanager
async def connect(
    server: ToolServer,
    network: Network,
    silence: float,
    note_status: Callable[[int | None], None],
    note_login: Callable[[str | None], None],
) -> AsyncIterator[Any]:
    """Opens the streams to a server.

    `silence`: seconds without a byte. `note_status`: called with the HTTP status, None for success. `note_login`:
    called with the problem of signing in; None if there is none.
    """
    if server.command is not None:
        with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230 - what a server says there may hold arguments
            async with stdio_client(_child(server), errlog=nowhere) as streams:
                yield streams
        return
    assert server.url is not None
    async with (
        _http_client(server, network, silence, note_status, note_login) as client,
        streamable_http_client(server.url, http_client=client) as streams,
    ):
        yield streams


def _child(server: ToolServer) -> StdioServerParameters:
    """Starts the child. It gets nothing from the bot's environment except what the SDK passes on (PATH, HOME, …),
    proxies, certificates, and what the file names.
    """
    assert server.command is not None
    path = server.env.get("PATH") or os.environ.get("PATH")
    if shutil.which(server.command, path=path) is None:
        raise FileNotFoundError(server.command)
    script = str(Path(launcher.__file__))
    return StdioServerParameters(
        command=sys.executable,
        args=["-I", "-S", script, str(os.getpid()), server.command, *server.args],
        env=dict(server.env),
        cwd=server.cwd,
        encoding_error_handler="replace",
    )


def _http_client(
    server: ToolServer,
    network: Network,
    silence: float,
    note_status: Callable[[int | None], None],
    note_login: Callable[[str | None], None],
) -> httpx2.AsyncClient:
    assert server.url is not None
    address = URL(server.url)

    async def on_response(response: httpx2.Response) -> None:
        asked = response.request
        if asked.method == "POST" and URL(str(asked.url)).origin() == address.origin():
            is_wrong = response.status_code >= 400 or _leads_elsewhere(response)
            note_status(response.status_code if is_wrong else None)

    login = ClientLogin(server.url, server.oauth, note_login) if server.oauth else None
    return httpx2.AsyncClient(
        headers=dict(server.headers),
        auth=login,
        timeout=httpx2.Timeout(silence, connect=_CONNECT_TIMEOUT),
        event_hooks={"response": [on_response]},
        transport=NetworkTransport(network),
        trust_env=False,
    )


def _leads_elsewhere(response: httpx2.Response) -> bool:
    """Whether it is a redirect to another origin, which `mcp` does not follow."""
    if not response.has_redirect_location:
        return False
    try:
        return response.url.join(response.headers["Location"]).netloc != response.url.netloc
    except httpx2.InvalidURL:
        return True
