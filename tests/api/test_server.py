"""The HTTP server itself, whatever its clients do."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.api.server import serving
from bot.sandbox.http_server import HttpServer, Lines

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def goodbye() -> bytes:
    """A client's close frame."""
    mask, code = os.urandom(4), (1000).to_bytes(2, "big")
    return b"\x88\x82" + mask + bytes(byte ^ mask[n] for n, byte in enumerate(code))


class Flood:
    """Sends without end to a client that never reads, until that says goodbye."""

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


async def leave_unread(flood: Flood, port: int) -> socket.socket:
    """Somebody who reads nothing of what is sent, and says goodbye."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", port))
    client.sendall(HANDSHAKE)
    async with asyncio.timeout(30):
        await flood.stuck.wait()
        client.sendall(goodbye())
        await flood.left.wait()
    return client


@pytest.mark.parametrize("which", ["the bot's", "the sandbox's"])
async def test_a_server_ends_in_peace_while_somebody_is_leaving(
    which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent to them has not gone out yet, so their connection is still there."""
    monkeypatch.setattr("bot.api.server.PATIENCE", 1)
    flood = Flood()
    if which == "the bot's":
        async with serving(flood.app(), "127.0.0.1", 0) as url:
            client = await leave_unread(flood, int(url.rpartition(":")[2]))
    else:
        server = HttpServer(flood.app(), "127.0.0.1", 0, Lines())
        await server.start()
        client = await leave_unread(flood, server.port)
        await server.stop()
    client.close()
