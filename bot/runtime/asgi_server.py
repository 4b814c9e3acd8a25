"""An HTTP and WebSocket server that runs an ASGI application inside the current event loop.

The only home of uvicorn. It uses uvicorn's protocol classes and its configuration, but not `uvicorn.Server`: that one
takes over the process's signals and polls for its own end. uvicorn does not promise that these classes stay as they
are, so pyproject.toml pins its minor version and tests/bot/test_asgi_server.py checks what is used here.
"""

from __future__ import annotations

import asyncio
import socket

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

BACKLOG = 1024
KEEP_ALIVE_TIMEOUT = 75
"""Seconds that an idle HTTP connection stays open."""
WEBSOCKET_PING_INTERVAL = 20.0
WEBSOCKET_CLOSE_TIMEOUT = 5.0
"""Seconds that a WebSocket client gets to read what was sent before the connection is closed."""
WRITE_TIMEOUT = 30.0
"""Seconds without progress in sending a response, after which the connection is cut because its client does not read.
"""
MAX_CONNECTIONS = 800
"""Stays within the limit of a thousand open files that is common for a process. At this number an idle connection is
closed to make room.
"""
MAX_UNREAD_MESSAGES = 1_000
"""Messages of one WebSocket client that wait to be handled; more than this would only fill the memory."""
MAX_UNSENT_BYTES = 1_000_000
"""Unsent bytes for a WebSocket client that answers pings but reads nothing."""
_SLICE_BYTES = 4_096
_DRAIN_POLL_INTERVAL = 0.01


class _Config(uvicorn.Config):
    """uvicorn's configuration with the one timeout that it lacks."""

    header_timeout: float


class _CutsStalledWrites:
    """Cuts a connection whose client has read nothing for `WRITE_TIMEOUT`, because unsent data takes memory."""

    _write_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._write_timer = asyncio.get_running_loop().call_later(
            WRITE_TIMEOUT,
            self.transport.abort,  # type: ignore[attr-defined]
        )

    def resume_writing(self) -> None:
        super().resume_writing()  # type: ignore[misc]
        self._stop_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_write_timer()
        super().connection_lost(exc)  # type: ignore[misc]

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class _HttpProtocol(_CutsStalledWrites, H11Protocol):
    """Closes a connection whose client takes too long to send a request's first line and headers."""

    _header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._update_header_timer()
        if len(self.connections) > MAX_CONNECTIONS:
            idle = (one for one in self.connections if one is not self and _is_idle(one))
            next(idle, self).transport.close()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        super().connection_lost(exc)

    def _update_header_timer(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_header_timer()
        elif self._header_timer is None and not self.transport.is_closing():
            assert isinstance(self.config, _Config)
            self._header_timer = self.loop.call_later(
                self.config.header_timeout, self._on_header_timeout
            )

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _on_header_timeout(self) -> None:
        self._header_timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


def _is_idle(connection: object) -> bool:
    """Whether no request is in progress on this connection."""
    return isinstance(connection, _HttpProtocol) and connection.conn.their_state is h11.IDLE


class _WebSocketProtocol(_CutsStalledWrites, WebSocketsSansIOProtocol):
    def data_received(self, data: bytes) -> None:
        for begin in range(0, len(data), _SLICE_BYTES):
            super().data_received(data[begin : begin + _SLICE_BYTES])
            if (
                self.queue.qsize() > MAX_UNREAD_MESSAGES
                or self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES
            ):
                self.transport.abort()
                return

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # A refusal answers the handshake too. Without this uvicorn would log it as an error.
            self.handshake_complete = True

    def shutdown(self) -> None:
        # A closing transport has sent its close frame; sending it again would be an error.
        if not self.transport.is_closing():
            super().shutdown()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        # Closing waits until the peer has read everything, and some peers never read again.
        self.loop.call_later(WEBSOCKET_CLOSE_TIMEOUT, self.transport.abort)


class AsgiServer:
    """Listens on one address. All timeouts are seconds.

    `header_timeout` is how long a client may take to send a request's headers, `shutdown_timeout` how long requests in
    progress get at shutdown, and `max_message_bytes` limits one WebSocket message from a client.
    """

    def __init__(
        self, *, header_timeout: float, shutdown_timeout: float, max_message_bytes: int
    ) -> None:
        self._header_timeout = header_timeout
        self._shutdown_timeout = shutdown_timeout
        self._max_message_bytes = max_message_bytes
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self.host = ""
        self.port = 0

    async def start(self, app: ASGIApp, host: str, port: int) -> None:
        """Listens and serves `app`. Port 0 picks a free one. OSError when the address cannot be used."""
        listener = listen(host, port)
        self.host, self.port = listener.getsockname()[:2]
        config = _Config(
            app,
            http=_HttpProtocol,
            ws=_WebSocketProtocol,
            ws_max_size=self._max_message_bytes,
            ws_ping_interval=WEBSOCKET_PING_INTERVAL,
            ws_ping_timeout=WEBSOCKET_PING_INTERVAL,
            ws_per_message_deflate=False,  # its buffers are most of a connection's memory
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_TIMEOUT,
        )
        config.header_timeout = self._header_timeout
        config.load()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _HttpProtocol(config, self._state, app_state={}),
            sock=listener,
            backlog=BACKLOG,
        )

    async def stop(self) -> None:
        """Stops listening, lets requests end within the shutdown timeout, then closes every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self._shutdown_timeout):
                await self._drain()
        except TimeoutError:
            await self._abort()

    async def abort_connection(self, scope: Scope, receive: Receive) -> None:
        """Cuts the connection of a request without a response; returns when that request has ended."""
        for connection in list(self._state.connections):
            if isinstance(connection, _HttpProtocol) and connection.client == scope.get("client"):
                connection.transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _drain(self) -> None:
        """Waits until requests have ended and their responses are sent."""
        while tasks := list(self._state.tasks):
            await asyncio.wait(tasks)
            await asyncio.sleep(0)
        delay = 0.0  # a connection with nothing left to send closes at once
        while self._state.connections:
            await asyncio.sleep(delay)
            delay = _DRAIN_POLL_INTERVAL

    async def _abort(self) -> None:
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Port 0 picks a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol makes asyncio set TCP_NODELAY on accepted sockets; without it every call waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except (OSError, UnicodeError) as error:
        listener.close()
        if isinstance(error, UnicodeError):  # not a host name
            raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
        raise
    return listener
