"""A proxy in front of a tool server that answers some tool calls itself, before or after the server has executed
them.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Reply:
    """Replaces the server's response."""

    status: int
    body: bytes = b""
    kind: str = "text/html"
    delivered: bool = True
    """Whether the server gets the call."""


class ProxyBefore:
    """An ASGI application in front of another one."""

    def __init__(self, app: ASGIApp, *, with_sessions: bool) -> None:
        """`with_sessions`: uses the protocol before 2026-07-28, in which a connection has a session."""
        self._app = app
        self._refused = b"server/discover" if with_sessions else None
        self.reply: Reply | None = None
        """Replaces the response to the next tool call."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        if self._refused is not None and self._refused in message.get("body", b""):
            await _say(send, Reply(404))
            return
        if self.reply is None or b"tools/call" not in message.get("body", b""):
            await self._app(scope, _first(message, receive), send)
            return
        reply, self.reply = self.reply, None
        if reply.delivered:
            await self._app(scope, _first(message, receive), _nowhere)
        await _say(send, reply)


async def _say(send: Send, reply: Reply) -> None:
    headers = [(b"content-type", reply.kind.encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _first(message: Message, receive: Receive) -> Receive:
    waiting = [message]

    async def given() -> Message:
        return waiting.pop() if waiting else await receive()

    return given


async def _nowhere(message: Message) -> None:
    """The server's response is lost."""
