"""Socket Mode: connection tickets, the open connections, and sending an envelope to one of them."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.events.delivery import Ack
from bot.sandbox.faults import Faults
from bot.sandbox.journal import Attempt, Delivery
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json


@dataclass(eq=False, slots=True)
class Connection:
    """One open WebSocket of the app."""

    socket: WebSocket
    received: list[Json] = field(default_factory=list)


class SocketMode:
    """A Transport that sends each envelope to one connection after the other."""

    def __init__(self, workspace: Workspace, faults: Faults) -> None:
        self._workspace = workspace
        self._faults = faults
        self._tickets: dict[str, float] = {}
        self._pending_acks: dict[str, asyncio.Future[Any]] = {}
        self._connected = asyncio.Event()
        self.connections: list[Connection] = []

    # -- the transport

    def is_open(self) -> bool:
        return bool(self.connections)

    async def wait_until_open(self) -> None:
        await self._connected.wait()

    async def send(self, delivery: Delivery, attempt: Attempt, seconds: float) -> Ack | None:
        if not self.connections:
            return None
        # The copies and redeliveries of one envelope go from socket to socket.
        turn = delivery.id + len(delivery.attempts)
        connection = self.connections[turn % len(self.connections)]
        envelope = {
            "envelope_id": attempt.envelope_id,
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": attempt.retry, "retry_reason": attempt.reason or ""}
        answered = self._pending_acks[attempt.envelope_id] = (
            asyncio.get_running_loop().create_future()
        )
        try:
            async with asyncio.timeout(seconds):
                await _send(connection, envelope)
                return Ack(await answered)
        except TimeoutError:
            return None
        finally:
            self._pending_acks.pop(attempt.envelope_id, None)

    # -- connecting

    def issue_ticket(self) -> str:
        """Issues a single-use ticket for one connection. Raises SlackRefusal when too many are open."""
        if len(self.connections) >= self._workspace.limits.max_sockets:
            raise SlackRefusal("too_many_websockets")
        ticket = secrets.token_hex(16)
        self._tickets[ticket] = self._workspace.clock() + self._workspace.limits.ticket_ttl
        return ticket

    async def serve(self, socket: WebSocket) -> None:
        """Serves one connection from handshake to close."""
        expires = self._tickets.pop(socket.query_params.get("ticket", ""), 0.0)
        now = self._workspace.clock()
        if now >= expires or now < self._faults.refuse_until:
            await socket.close(1008)
            return
        await socket.accept()
        connection = Connection(socket)
        self.connections.append(connection)
        try:
            await _send(connection, self._hello())
            self._connected.set()
            self._workspace.emit("bot", connected=True)
            await self._listen(connection)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self._forget(connection)

    async def _listen(self, connection: Connection) -> None:
        while True:
            message = await connection.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or (message.get("bytes") or b"").decode()
            self._acknowledge(connection, text)

    def _acknowledge(self, connection: Connection, text: str) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        connection.received.append(said)
        waiting = self._pending_acks.get(str(said.get("envelope_id")))
        if waiting is not None and not waiting.done():
            waiting.set_result(said.get("payload"))

    def _forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
        if not self.connections:
            self._connected.clear()
            self._workspace.emit("bot", connected=False)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "connection_info": {"app_id": self._workspace.app_id},
            "debug_info": {
                "host": "applink-sandbox",
                "build_number": 1,
                "approximate_connection_time": 3600,
            },
        }

    # -- fault injection

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Asks the app to renew every connection: `warning`, `refresh_requested` or `link_disabled`.

        After anything but a warning Slack closes the connection.
        """
        for connection in list(self.connections):
            await _send(
                connection,
                {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-sandbox"}},
            )
            if reason != "warning":
                self._forget(connection)
                await _close(connection)

    def refuse(self, seconds: float) -> None:
        """Refuse new connections for a while."""
        self._faults.refuse_until = self._workspace.clock() + seconds

    async def drop(self) -> None:
        """Closes every connection without a `disconnect` message."""
        for connection in list(self.connections):
            self._forget(connection)
            await _close(connection)


async def _send(connection: Connection, message: Json) -> None:
    try:
        await connection.socket.send_text(json.dumps(message))
    except (WebSocketDisconnect, RuntimeError):
        return


async def _close(connection: Connection) -> None:
    try:
        await connection.socket.close(1001)
    except (WebSocketDisconnect, RuntimeError):
        return
