"""HTTP mode: Slack's signed requests, all at one path."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs

from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from bot.errors import StorageError
from bot.observability import get_logger
from storage.coordination import Coordination

log = get_logger(__name__)

PATH = "/slack/events"
"""Where events, commands, interactivity and menus come in."""
REMEMBERED = 660.0
"""Seconds: a signature holds five minutes before and after its time, and a little for clocks that differ."""
_EVENT = b"{"
"""How the body of an event begins. Headers do not tell: they are not signed."""
_NOT_UNDERSTOOD = (AttributeError, LookupError, TypeError, ValueError, RecursionError)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class HttpTransport:
    """An ASGI application for `PATH`, in the place of a socket.

    What Slack did not sign, or more than five minutes ago, is refused before anybody reads it.
    """

    def __init__(self, app: AsyncApp, signing_secret: str, shared: Coordination | None) -> None:
        """`shared`: where replicas meet, if there are several."""
        self._handler = AsyncSlackRequestHandler(app, path=PATH)
        self._verifier = SignatureVerifier(signing_secret)
        self._taken = _Taken(shared)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _refuse(send, 405)
            return
        headers, body = dict(scope["headers"]), await _whole(receive)
        if body is None:
            return
        try:
            signature = self._signature(headers, body)
            if signature is None:
                await _refuse(send, 401)
            elif body.startswith(_EVENT) or _only_asks(
                body
            ):  # the database knows what it has heard
                await self._handler(scope, _again(body, receive), send)  # type: ignore[arg-type]
            else:
                await self._once(signature, scope, body, receive, send)
        except _NOT_UNDERSTOOD as error:
            log.warning("request_not_understood", exc_info=error)
            await _refuse(send, 400)

    def _signature(self, headers: Mapping[bytes, bytes], body: bytes) -> str | None:
        """The request's signature; None unless it is Slack's and of these minutes. Raises UnicodeDecodeError."""
        stamp, signature = (
            headers.get(b"x-slack-request-timestamp", b""),
            headers.get(b"x-slack-signature", b""),
        )
        if not (stamp.isdigit() and len(stamp) < 20 and signature.isascii()):
            return None
        given = signature.decode()
        return given if self._verifier.is_valid(body, stamp.decode(), given) else None

    async def _once(
        self, signature: str, scope: Message, body: bytes, receive: Receive, send: Send
    ) -> None:
        """A command, a press or a dialog: Slack sends it once, so what comes again comes from somebody else."""
        if await self._taken.already(signature):
            log.warning("request_repeated")
            await _refuse(send, 200)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._handler(scope, _again(body, receive), watched)  # type: ignore[arg-type]
        if (
            status == 200
        ):  # else whoever stands between Slack and us may try it with another replica
            await self._taken.remember(signature)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The HTTP server brings the requests; nothing has to be kept open here."""
        yield

    async def connected(self) -> bool:
        return True

    async def until_connected(self, seconds: float = 30.0) -> bool:
        return True


class _Taken:
    """Signatures of what has been done: here, and in the other replicas while they can be asked.

    There each is an allowance of one call that is back at once, until `remember` holds it: what failed may be tried
    again.
    """

    def __init__(self, shared: Coordination | None) -> None:
        self._shared = shared
        self._until: dict[str, float] = {}
        """The oldest first."""

    async def already(self, signature: str) -> bool:
        if signature in self._until:
            return True
        if self._shared is not None:
            with suppress(StorageError):
                return not (await self._shared.acquire(_key(signature), 1000.0, 1.0)).granted
        return False

    async def remember(self, signature: str) -> None:
        now = time.monotonic()
        while self._until and self._until[oldest := next(iter(self._until))] < now:
            del self._until[oldest]
        self._until[signature] = now + REMEMBERED
        if self._shared is not None:
            with suppress(StorageError):
                await self._shared.block(_key(signature), REMEMBERED)


def _only_asks(body: bytes) -> bool:
    """Whether a menu wants its options, which changes nothing and may come twice in a second. Raises ValueError."""
    payload = json.loads(parse_qs(body.decode()).get("payload", ["null"])[0])
    return isinstance(payload, dict) and payload.get("type") == "block_suggestion"


def _key(signature: str) -> str:
    return f"taken:{signature}"


async def _whole(receive: Receive) -> bytes | None:
    """The body; None when the client has gone."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _again(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def given() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return given


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
