"""The embedded server: it stops in time whatever its clients do, and uvicorn still has what it relies on."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from bot.runtime.asgi_server import AsgiServer
from tests.deadlines import WAIT_TIMEOUT

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def new_server(*, header_timeout: float = 60.0, shutdown_timeout: float = 60.0) -> AsgiServer:
    return AsgiServer(
        header_timeout=header_timeout, shutdown_timeout=shutdown_timeout, max_message_bytes=1024
    )


@asynccontextmanager
async def connection(
    server: AsgiServer,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def close_frame() -> bytes:
    """A client's masked close frame with code 1000."""
    mask, code = os.urandom(4), (1000).to_bytes(2, "big")
    return b"\x88\x82" + mask + bytes(byte ^ mask[n] for n, byte in enumerate(code))


class Flood:
    """Sends without end to a client that never reads, until that client closes."""

    def __init__(self) -> None:
        self.stuck, self.left = asyncio.Event(), asyncio.Event()

    def app(self) -> ASGIApp:
        return Starlette(routes=[WebSocketRoute("/", self._pour)])

    async def _pour(self, websocket: WebSocket) -> None:
        await websocket.accept()
        sending = asyncio.create_task(self._send(websocket))
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            self.left.set()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, websocket: WebSocket) -> None:
        while True:
            try:
                async with asyncio.timeout(0.2):
                    await websocket.send_text("x" * 100_000)
            except TimeoutError:
                self.stuck.set()


async def close_unread(flood: Flood, port: int) -> socket.socket:
    """A client that reads nothing of what is sent and closes its WebSocket."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    client.sendall(HANDSHAKE)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await flood.stuck.wait()
        client.sendall(close_frame())
        await flood.left.wait()
    return client


async def test_the_server_stops_while_a_client_leaves_data_unread() -> None:
    """What was sent to that client has not gone out yet, so its connection is still there."""
    flood = Flood()
    server = new_server(shutdown_timeout=0.2)
    await server.start(flood.app(), "127.0.0.1", 0)
    client = await close_unread(flood, server.port)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await server.stop()
    client.close()


async def test_a_request_under_way_is_finished_before_the_server_stops() -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> PlainTextResponse:
        begun.set()
        await finish.wait()
        return PlainTextResponse("whole")

    server = new_server()
    await server.start(Starlette(routes=[Route("/", answer)]), "127.0.0.1", 0)
    async with connection(server) as (reader, writer), asyncio.timeout(WAIT_TIMEOUT):
        writer.write(REQUEST)
        await begun.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        with pytest.raises(OSError):
            async with connection(server):
                pass
        finish.set()
        await stopping
        assert (await reader.read()).endswith(b"whole")


async def test_a_request_without_end_is_cancelled_after_the_shutdown_timeout() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server = new_server(shutdown_timeout=0.05)
    await server.start(app, "127.0.0.1", 0)
    async with connection(server) as (_, writer), asyncio.timeout(WAIT_TIMEOUT):
        writer.write(REQUEST)
        await begun.wait()
        await server.stop()
    assert cancelled.is_set()


async def test_a_client_that_does_not_finish_its_headers_is_disconnected() -> None:
    server = new_server(header_timeout=0.1)
    await server.start(Starlette(), "127.0.0.1", 0)
    async with connection(server) as (reader, writer), asyncio.timeout(WAIT_TIMEOUT):
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
        assert await reader.read() == b""
    await server.stop()


async def test_an_aborted_connection_gets_no_answer_and_the_others_stay() -> None:
    server = new_server()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/abort":
            await server.abort_connection(scope, receive)
        else:
            await PlainTextResponse("here")(scope, receive, send)

    await server.start(app, "127.0.0.1", 0)
    async with connection(server) as (kept, kept_writer), asyncio.timeout(WAIT_TIMEOUT):
        kept_writer.write(REQUEST)
        await kept.readuntil(b"here")
        async with connection(server) as (reader, writer):
            writer.write(REQUEST.replace(b"/", b"/abort", 1))
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                answer = await reader.read()
            assert answer == b""
        kept_writer.write(REQUEST)
        await kept.readuntil(b"here")
    await server.stop()


async def test_a_refused_websocket_is_not_logged_as_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("no", 403))

    server = new_server()
    await server.start(Starlette(routes=[WebSocketRoute("/", refuse)]), "127.0.0.1", 0)
    async with connection(server) as (reader, writer), asyncio.timeout(WAIT_TIMEOUT):
        writer.write(HANDSHAKE)
        assert b" 403 " in await reader.readline()
    await server.stop()
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_uvicorn_has_what_the_server_relies_on() -> None:
    """None of it is documented by uvicorn: if a newer version fails here, look at bot/runtime/asgi_server.py."""
    for protocol in (H11Protocol, WebSocketsSansIOProtocol):
        parameters = list(inspect.signature(protocol).parameters)
        assert parameters == ["config", "server_state", "app_state", "_loop"]
        assert callable(protocol.shutdown)
    state = ServerState()
    assert (state.connections, state.tasks, state.default_headers) == (set(), set(), [])
    assert callable(WebSocketsSansIOProtocol.on_task_complete)
