"""Serves the HTTP side of the bot: the API, the health checks, and what Slack calls in HTTP mode."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from bot.errors import SettingsError
from bot.runtime.asgi_server import AsgiServer
from bot.timing import Timing

MAX_MESSAGE_BYTES = 65_536
"""Of one message that a client may send on a WebSocket."""


@asynccontextmanager
async def serving(
    app: ASGIApp, host: str, port: int, timing: Timing = Timing()
) -> AsyncIterator[str]:
    """Serve the application and yield its URL. Port 0 picks a free one. Raises SettingsError for a taken one."""
    server = AsgiServer(
        header_timeout=timing.http_header_timeout,
        shutdown_timeout=timing.http_shutdown_timeout,
        max_message_bytes=MAX_MESSAGE_BYTES,
    )
    try:
        await server.start(app, host, port)
    except OSError as error:
        raise _settings_error(host, port, error) from None
    try:
        named = f"[{server.host}]" if ":" in server.host else server.host
        yield f"http://{named}:{server.port}"
    finally:
        await server.stop()


def _settings_error(host: str, port: int, error: OSError) -> SettingsError:
    if isinstance(error, socket.gaierror):
        return SettingsError(
            f"HOST {host} is no address of this machine: set it to one, such as 127.0.0.1"
        )
    reason = error.strerror or type(error).__name__
    return SettingsError(
        f"PORT {port} on HOST {host} cannot be listened on ({reason}): set PORT to another one, or to 0 for any"
    )
