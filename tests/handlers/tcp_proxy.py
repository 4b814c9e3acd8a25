"""A proxy between the bot and a server that can refuse connections or silently hold back data."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from enum import Flag, auto
from typing import Self
from urllib.parse import urlsplit

QUIET = 0.05
"""Seconds without a byte after which a response is complete."""

CLOSE_TIMEOUT = 2.0
"""Seconds that closing waits for the ends of all connections."""


class Mute(Flag):
    """What is held back: the connection stays open and its bytes are acknowledged, but not passed on."""

    NOTHING = 0
    REQUESTS = auto()
    RESPONSES = auto()
    BOTH = REQUESTS | RESPONSES


class _Connection:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, trigger: Trigger | None
    ) -> None:
        self.client = client
        self.server = server
        self.trigger = trigger
        self.cut = False
        """It aborts the connection instead of passing on the next response."""
        self._flowing = {Mute.REQUESTS: asyncio.Event(), Mute.RESPONSES: asyncio.Event()}
        self._response_due = False
        self._used_at = 0.0
        self.mute(Mute.NOTHING)

    def mute(self, held: Mute) -> None:
        for direction, flowing in self._flowing.items():
            if direction in held:
                flowing.clear()
            else:
                flowing.set()

    async def copy_requests(self, reader: asyncio.StreamReader) -> None:
        await self._copy(reader, self.server, Mute.REQUESTS)

    async def copy_responses(self, reader: asyncio.StreamReader) -> None:
        await self._copy(reader, self.client, Mute.RESPONSES)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Mute
    ) -> None:
        while data := await reader.read(65536):
            if direction is Mute.REQUESTS and self.trigger is not None:
                self.trigger(self, data)
            if direction is Mute.RESPONSES and self.cut:
                self.abort()
                return
            await self._flowing[direction].wait()
            self._response_due = direction is Mute.REQUESTS
            self._used_at = asyncio.get_running_loop().time()
            writer.write(data)
            await writer.drain()
        await self._flowing[direction].wait()
        writer.close()

    async def close_when_idle(self) -> None:
        """Close as soon as no request waits for its response, so that no outcome is unknown."""
        while self._is_busy():
            await asyncio.sleep(0.01)
        with suppress(OSError):  # the client was faster
            self.client.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def abort(self) -> None:
        """Closes at once, whoever is waiting."""
        for end in (self.client, self.server):
            end.transport.abort()

    def _is_busy(self) -> bool:
        if self.client.is_closing():
            return False
        quiet_for = asyncio.get_running_loop().time() - self._used_at
        return self._response_due or quiet_for < QUIET or _unread(self.client) > 0


Trigger = Callable[[_Connection, bytes], None]
"""Is told each piece of a request before it is passed on."""


class TcpProxy:
    """Passes everything on to the server at `url`. An async context manager; accepts connections from the start."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = target.hostname, target.port
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = int(found.getsockname()[1])
        user, at, _ = target.netloc.rpartition("@")
        self.url = target._replace(netloc=f"{user}{at}127.0.0.1:{self._port}").geturl()
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._new_held = Mute.NOTHING
        self._trigger: Trigger | None = None

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.mute(Mute.NOTHING)
        with suppress(TimeoutError):  # a request whose server is gone waits for ever
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.refuse()
        for connection in self._connections:
            connection.abort()
        if self._serving:  # else their sockets would outlive the event loop
            await asyncio.wait(self._serving, timeout=CLOSE_TIMEOUT)

    async def accept(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def refuse(self) -> None:
        """Refuse new connections, and close each open one after the response that it waits for."""
        if self._server is not None:
            self._server.close()
            await asyncio.gather(*(each.close_when_idle() for each in self._connections))
            await self._server.wait_closed()
            self._server = None

    def mute(self, held: Mute, *, new: bool = True) -> None:
        """Hold back these bytes of all open connections, and with `new` of future ones too."""
        for connection in self._connections:
            connection.mute(held)
        self._new_held = held if new else Mute.NOTHING

    def mute_at(
        self,
        word: bytes,
        held: Mute,
        *,
        new: bool = True,
        after: bytes = b"",
        alone: bool = False,
    ) -> asyncio.Event:
        """Go mute once, at the next request that contains these bytes; the event tells when.

        `alone`: only the connection of that request goes mute.
        `after`: only on a connection on which another request has contained these, such as a statement of the
        transaction that is meant.
        """
        reached = asyncio.Event()
        begun: set[_Connection] = set()

        def trigger(connection: _Connection, request: bytes) -> None:
            if (not after or connection in begun) and word in request and not reached.is_set():
                reached.set()
                if alone:
                    connection.mute(held)
                else:
                    self.mute(held, new=new)
            if after in request:
                begun.add(connection)

        self._watch_requests(trigger)
        return reached

    def cut_at(self, word: bytes, after: bytes) -> asyncio.Event:
        """Break off the connection, once, of the next request that contains `word`, when the server has carried it out.

        `after`: contained in an earlier request since the last one with `word`; the event tells when it is cut off.
        """
        reached = asyncio.Event()
        begun: set[_Connection] = set()

        def trigger(connection: _Connection, request: bytes) -> None:
            if word not in request:
                begun.update({connection} if after in request else ())
            elif connection in begun and not reached.is_set():
                connection.cut = True
                reached.set()
            else:
                begun.discard(connection)

        self._watch_requests(trigger)
        return reached

    def _watch_requests(self, trigger: Trigger) -> None:
        self._trigger = trigger
        for connection in self._connections:
            connection.trigger = trigger

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await task

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:  # it refuses, so the client is refused too
            writer.close()
            return
        connection = _Connection(writer, server_writer, self._trigger)
        connection.mute(self._new_held)
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
