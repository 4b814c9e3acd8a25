"""The HTTP server inside the bot's process: a uvicorn that leaves signals alone and ends when it is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bot.errors import SettingsError

HEADERS_WITHIN = 20.0
"""Seconds that a client may take to send a request's first line and headers."""
PATIENCE = 3
"""Seconds that requests in progress get when the server ends."""
LARGEST_FRAME = 65_536
"""Bytes of one message that a client may send on a WebSocket."""
PING_EVERY = 20.0
GOODBYE_WITHIN = 5.0


class _Protocol(H11Protocol):
    """Lets nobody hold a connection by sending a request for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEADERS_WITHIN, self._give_up)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


class _Socket(WebSocketsSansIOProtocol):
    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = (
                True  # a refusal is an answer too; uvicorn would log it as a fault
            )

    def shutdown(self) -> None:
        if (
            not self.transport.is_closing()
        ):  # else goodbye has been said, and to say it again would be an error
            super().shutdown()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        # Closing waits until the peer has read everything, and some never read again.
        self.loop.call_later(GOODBYE_WITHIN, self.transport.abort)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they belong to the program

    async def main_loop(self) -> None:
        await self.ended.wait()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, accepted sockets do not wait for more data before they send what they have.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if isinstance(error, socket.gaierror):
            raise SettingsError(
                f"HOST {host} is no address of this machine: set it to one, such as 127.0.0.1"
            ) from None
        reason = error.strerror or type(error).__name__
        raise SettingsError(
            f"PORT {port} on HOST {host} cannot be listened on ({reason}): set PORT to another one, or to 0 for any"
        ) from None
    return listener


@asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[str]:
    """Serves the application, and gives its address. Port 0 picks a free one. Raises SettingsError for a taken one."""
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws=_Socket,
        ws_max_size=LARGEST_FRAME,
        ws_ping_interval=PING_EVERY,
        ws_ping_timeout=PING_EVERY,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=PATIENCE,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        yield _address(listener)
    finally:
        server.should_exit = True
        server.ended.set()
        await task


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
