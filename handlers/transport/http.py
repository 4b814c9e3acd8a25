"""HTTP mode: receives Slack's signed requests, all at one path, and rejects replays."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_sdk.signature import SignatureVerifier

from bot.errors import StorageError
from bot.observability import Metrics, get_logger
from handlers.transport.bolt_app import SharedApp
from storage.coordination import Coordination

log = get_logger(__name__)

PATH = "/slack/events"
"""Receives events, commands, interactions and the options of menus."""
MAX_SIGNATURE_AGE = 300.0
"""Seconds, as in slack_sdk's own check."""
REFUSAL_LOG_INTERVAL = 60.0
SIGNATURE_TTL = 660.0
"""Seconds: a signature is valid five minutes before and after its timestamp; the rest allows for clock differences."""
_EVENT_PREFIX = b"{"
"""How the body of an event begins. The content type is not signed, so it cannot be trusted."""
_MALFORMED_ERRORS = (AttributeError, LookupError, TypeError, ValueError, RecursionError)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Refusal(StrEnum):
    """Why a request is not accepted as Slack's."""

    UNSIGNED = "unsigned"
    EXPIRED = "expired"
    WRONG_SIGNATURE = "wrong_signature"


_ADVICE = {
    Refusal.UNSIGNED: "not from Slack, or a proxy drops its X-Slack- headers",
    Refusal.EXPIRED: "its time is more than five minutes from this machine's: check this machine's clock",
    Refusal.WRONG_SIGNATURE: "check SLACK_SIGNING_SECRET (Basic Information, App Credentials); "
    "or a proxy changes the body",
}


class HttpTransport:
    """Receives Slack's requests by HTTP: an ASGI application for `PATH`.

    A request without Slack's signature, or signed more than five minutes ago, is rejected before it is parsed.
    """

    def __init__(
        self, app: SharedApp, signing_secret: str, shared: Coordination | None, metrics: Metrics
    ) -> None:
        """`shared`: connects several replicas; None for a single one."""
        self._app = app
        self._handler = AsyncSlackRequestHandler(app, path=PATH)
        self._verifier = SignatureVerifier(signing_secret)
        self._handled = _SeenSignatures(shared)
        self._metrics = metrics
        self._told_until: dict[Refusal, float] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _respond(send, 405)
            return
        headers = dict(scope["headers"])
        if (early := self._unsigned(headers)) is not None:
            # Before the body, which an attacker may make arbitrarily large.
            self._log_refusal(early)
            await _respond(send, 401)
            return
        body = await _read_body(receive)
        if body is None:
            return
        try:
            signature, refusal = self._signature(headers, body)
            if refusal is not None:
                self._log_refusal(refusal)
                await _respond(send, 401)
            elif body.startswith(_EVENT_PREFIX) or _is_options_request(body):
                # An event that arrives twice is recognised by its message in the database.
                await self._handler(scope, _replay(body, receive), send)  # type: ignore[arg-type]
            else:
                await self._handle_unless_replayed(signature, scope, body, receive, send)
        except _MALFORMED_ERRORS as error:
            log.warning("request_malformed", exc_info=error)
            await _respond(send, 400)

    def _unsigned(self, headers: Mapping[bytes, bytes]) -> Refusal | None:
        """Why a request cannot be from Slack, regardless of its body."""
        stamp = headers.get(b"x-slack-request-timestamp", b"")
        signature = headers.get(b"x-slack-signature", b"")
        if not (stamp.isdigit() and len(stamp) < 20 and signature.isascii() and signature):
            return Refusal.UNSIGNED
        expired = abs(time.time() - int(stamp)) > MAX_SIGNATURE_AGE
        return Refusal.EXPIRED if expired else None

    def _signature(self, headers: Mapping[bytes, bytes], body: bytes) -> tuple[str, Refusal | None]:
        """The request's signature, and why it is invalid. Raises UnicodeDecodeError."""
        stamp, given = (
            headers[name].decode() for name in (b"x-slack-request-timestamp", b"x-slack-signature")
        )
        is_valid = self._verifier.is_valid(body, stamp, given)
        return given, None if is_valid else Refusal.WRONG_SIGNATURE

    def _log_refusal(self, refusal: Refusal) -> None:
        """Counts a refused request, and logs the first of each kind and then at most one a minute."""
        self._metrics.count_request_refused(refusal.value)
        now = time.monotonic()
        if now >= self._told_until.get(refusal, 0.0):
            self._told_until[refusal] = now + REFUSAL_LOG_INTERVAL
            log.warning("request_refused", reason=refusal.value, advice=_ADVICE[refusal])

    async def _handle_unless_replayed(
        self, signature: str, scope: Message, body: bytes, receive: Receive, send: Send
    ) -> None:
        """Handles a command, button or dialog. Slack sends each once, so a repeated signature is a replay."""
        if await self._handled.contains(signature):
            log.warning("request_repeated")
            await _respond(send, 200)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._handler(scope, _replay(body, receive), watched)  # type: ignore[arg-type]
        # After another status, a proxy in front of the bot may send the request to another replica.
        if status == 200:
            await self._handled.remember(signature)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Does nothing: requests arrive through the HTTP server, and there is no connection to maintain."""
        yield

    async def fault(self) -> str | None:
        """Why events are not being acknowledged."""
        return self._app.fault()

    async def until_connected(self, seconds: float = 30.0) -> bool:
        return True


class _SeenSignatures:
    """The signatures of handled requests: by this process, and by other replicas while Redis is available.

    In Redis each is a token bucket for one call that refills immediately, until `remember` blocks it: a request that
    failed may be sent again.
    """

    def __init__(self, shared: Coordination | None) -> None:
        self._shared = shared
        self._expires_at: dict[str, float] = {}
        """In order of arrival."""

    async def contains(self, signature: str) -> bool:
        if signature in self._expires_at:
            return True
        if self._shared is not None:
            with suppress(StorageError):
                return not (await self._shared.acquire(_key(signature), 1000.0, 1.0)).granted
        return False

    async def remember(self, signature: str) -> None:
        now = time.monotonic()
        while self._expires_at and self._expires_at[oldest := next(iter(self._expires_at))] < now:
            del self._expires_at[oldest]
        self._expires_at[signature] = now + SIGNATURE_TTL
        if self._shared is not None:
            with suppress(StorageError):
                await self._shared.block(_key(signature), SIGNATURE_TTL)


def _is_options_request(body: bytes) -> bool:
    """Whether a menu asks for its options, which has no effect and may happen twice within a second. Raises
    ValueError.
    """
    payload = json.loads(parse_qs(body.decode()).get("payload", ["null"])[0])
    return isinstance(payload, dict) and payload.get("type") == "block_suggestion"


def _key(signature: str) -> str:
    return f"taken:{signature}"


async def _read_body(receive: Receive) -> bytes | None:
    """The body; None if the client has disconnected."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def given() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return given


async def _respond(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
