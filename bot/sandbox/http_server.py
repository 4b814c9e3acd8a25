"""The HTTP server under the sandbox: a uvicorn that lives inside somebody else's event loop and can cut connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

Address = tuple[str, int]


class Lines:
    """The open HTTP connections by the client's address, so that one can be cut without an answer."""

    def __init__(self) -> None:
        self.open: dict[Address, asyncio.BaseTransport] = {}

    async def cut(self, scope: Scope, receive: Receive) -> None:
        """Close the connection of this request at once; returns when the server has noticed."""
        client = scope.get("client")
        transport = self.open.get((client[0], client[1])) if client else None
        if isinstance(transport, asyncio.Transport):
            transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


def _protocol(lines: Lines) -> type[H11Protocol]:
    class Line(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self._peer: Address = transport.get_extra_info("peername")[:2]
            # asyncio leaves this to sockets made with an explicit protocol number; without it every call waits 40 ms.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lines.open[self._peer] = transport
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            lines.open.pop(self._peer, None)
            super().connection_lost(exc)

    return Line


class _Socket(WebSocketsSansIOProtocol):
    def shutdown(self) -> None:
        if (
            not self.transport.is_closing()
        ):  # else goodbye has been said, and to say it again would be an error
            super().shutdown()


class _Server(uvicorn.Server):
    """Leaves signals alone, and ends when it is told instead of looking ten times a second."""

    def __init__(self, config: uvicorn.Config, lines: Lines) -> None:
        super().__init__(config)
        self.lines = lines
        self.ended = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything now; uvicorn's own way sleeps between its looks, and a test suite pays hundreds of times."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := list(self.server_state.tasks):
            _, pending = await asyncio.wait(tasks, timeout=1)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        await asyncio.sleep(0)
        for transport in list(self.lines.open.values()):
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        await asyncio.sleep(0)


class HttpServer:
    """Serves an application on one socket of the loopback interface."""

    def __init__(self, app: ASGIApp, host: str, port: int, lines: Lines) -> None:
        self._app = app
        self._address = (host, port)
        self._lines = lines
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = port

    async def start(self) -> None:
        """Listen. OSError when the port is taken."""
        listener = socket.create_server(self._address, backlog=1024, reuse_port=False)
        self.port = listener.getsockname()[1]
        options: dict[str, Any] = {
            "lifespan": "off",
            "log_config": None,
            "access_log": False,
            "date_header": False,
        }
        config = uvicorn.Config(
            self._app,
            http=_protocol(self._lines),
            ws=_Socket,
            ws_max_size=4 << 20,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
            **options,
        )
        self._server = _Server(config, self._lines)
        self._task = asyncio.create_task(
            self._server.serve(sockets=[listener]), name="sandbox-http"
        )

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        self._server.ended.set()
        await self._task
