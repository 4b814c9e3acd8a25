"""A proxy between the bot and Slack's Web API, which can refuse connections."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

QUIET = 0.05
"""Seconds without a byte after which a response is complete."""


class _Connection:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self._response_due = False
        self._used_at = 0.0

    async def copy_requests(self, reader: asyncio.StreamReader) -> None:
        await self._copy(reader, self.server, response_due=True)

    async def copy_responses(self, reader: asyncio.StreamReader) -> None:
        await self._copy(reader, self.client, response_due=False)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, response_due: bool
    ) -> None:
        while data := await reader.read(65536):
            self._response_due = response_due
            self._used_at = asyncio.get_running_loop().time()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def close_when_idle(self) -> None:
        """Close as soon as no request waits for its response, so that no outcome is unknown."""
        while self._is_busy():
            await asyncio.sleep(0.01)
        with suppress(OSError):  # the client was quicker
            self.client.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def _is_busy(self) -> bool:
        if self.client.is_closing():
            return False
        quiet_for = asyncio.get_running_loop().time() - self._used_at
        return self._response_due or quiet_for < QUIET or _unread(self.client) > 0


class TcpProxy:
    """Passes everything on to the server at `url`. An async context manager; accepts connections from the start."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = target.hostname, target.port
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = int(found.getsockname()[1])
        self.url = target._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    async def accept(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def refuse(self) -> None:
        """Refuse new connections, and close each open one after the response that it waits for."""
        if self._server is not None:
            self._server.close()
            await asyncio.gather(*(each.close_when_idle() for each in self._connections))
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        connection = _Connection(writer, server_writer)
        self._connections.add(connection)
        with suppress(ConnectionError):
            await asyncio.gather(
                connection.copy_requests(reader), connection.copy_responses(server_reader)
            )
        self._connections.remove(connection)
        for end in (writer, server_writer):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()


def _unread(writer: asyncio.StreamWriter) -> int:
    """Bytes that the peer has sent and that are unread."""
    answer = fcntl.ioctl(
        writer.get_extra_info("socket").fileno(), termios.FIONREAD, struct.pack("i", 0)
    )
    (count,) = struct.unpack("i", answer)
    return int(count)
