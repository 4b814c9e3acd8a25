"""Serves the HTTP side of the bot: the API, the health checks, and Slack's requests in HTTP mode."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from bot.errors import SettingsError
from bot.runtime.asgi_server import AsgiServer, listen
from bot.timing import Timing

MAX_MESSAGE_BYTES = 65_536
"""The limit for one WebSocket message from a client."""

_ASK_TIMEOUT = 3.0
"""Seconds for asking what is listening at an address."""
_NOT_OURS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""No network interface has the address, or this machine has no IPv6."""
_MAX_ANSWER = 4_096
_PIECES = 4
"""Bytes of one read, and how many reads: the head and the body may arrive separately."""


@asynccontextmanager
async def serving(
    app: ASGIApp, host: str, port: int, timing: Timing = Timing()
) -> AsyncIterator[str]:
    """Serves the application and yields its URL. Port 0 picks a free one. Raises SettingsError for a taken one."""
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


def address_problem(host: str, port: int) -> SettingsError | None:
    """Why the address cannot be listened on; None if it can be at present."""
    error = _listening_error(host, port)
    return None if error is None else _settings_error(host, port, error)


def _listening_error(host: str, port: int) -> OSError | None:
    try:
        listen(host, port).close()
    except OSError as error:
        return error
    return None


async def serves_bot(host: str, port: int) -> bool:
    """Whether a bot is listening at this address of this machine: it reports that it is alive."""
    error = _listening_error(host, port)
    if error is None or error.errno != errno.EADDRINUSE:
        return False
    try:
        async with asyncio.timeout(_ASK_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b"".join([await reader.read(_MAX_ANSWER) for _ in range(_PIECES)])
            writer.close()
    except (OSError, UnicodeError):  # a TimeoutError is an OSError
        return False
    return b'"alive"' in answer


def _settings_error(host: str, port: int, error: OSError) -> SettingsError:
    if isinstance(error, socket.gaierror) or error.errno in _NOT_OURS:
        return SettingsError(
            f"HOST {host} is no address of this machine: set it to one, such as 127.0.0.1"
        )
    reason = error.strerror or type(error).__name__
    return SettingsError(
        f"PORT {port} on HOST {host} cannot be listened on ({reason}): set PORT to another one, or to 0 for any"
    )
