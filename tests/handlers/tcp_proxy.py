"""The line between the bot and Slack's Web API: while it is cut, nobody can connect."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class TcpProxy:
    """Passes on everything to a server at `url`. Use as an async context manager; stands from the beginning."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        self._there = there.hostname, there.port
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = int(found.getsockname()[1])
        self.url = there._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)

    async def cut(self) -> None:
        """Whoever connects is refused, and what is connected is closed."""
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._open):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._there)
        ends = {writer, back}
        self._open |= ends
        with suppress(ConnectionError):
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self._open -= ends
        for end in ends:
            end.close()
        for end in ends:
            with suppress(ConnectionError):
                await end.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
