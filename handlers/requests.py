"""HTTP mode: Slack's signed requests, all at one path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.app.async_app import AsyncApp

PATH = "/slack/events"
"""Where events, commands, interactivity and menus come in."""

Message = MutableMapping[str, Any]


class SlackRequests:
    """An ASGI application for `PATH`, in the place of a socket. Bolt verifies signatures and their age."""

    def __init__(self, app: AsyncApp) -> None:
        self._handler = AsyncSlackRequestHandler(app, path=PATH)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["method"] != "POST":
            await _refuse(send, 405)
            return
        if not _may_be_signed(scope["headers"]):
            await _refuse(send, 401)
            return
        try:
            await self._handler(scope, receive, send)  # type: ignore[arg-type]
        except UnicodeDecodeError:
            await _refuse(send, 400)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The HTTP server brings the requests; nothing has to be kept open here."""
        yield

    async def connected(self) -> bool:
        return True

    async def until_connected(self, seconds: float = 30.0) -> bool:
        return True


def _may_be_signed(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the signature's headers are of the kind that Bolt can check: it fails on others instead of refusing."""
    given = dict(headers)
    stamp, signature = given.get(b"x-slack-request-timestamp", b""), given.get(b"x-slack-signature", b"")
    return stamp.isdigit() and len(stamp) < 20 and signature.isascii()


async def _refuse(send: Callable[[Message], Awaitable[None]], status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
