"""HTTP delivery: signed POSTs to the app's request URL."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.events.delivery import Ack
from bot.sandbox.journal import Attempt, Delivery
from bot.sandbox.types import Clock


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's `v0` signature of a request body."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


class HttpDelivery:
    """A Transport to one request URL for events, commands, interactions and menus."""

    def __init__(self, url: str, signing_secret: str, clock: Clock) -> None:
        self.url = url
        self._secret = signing_secret
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def is_open(self) -> bool:
        return True

    async def wait_until_open(self) -> None:
        return

    async def send(self, delivery: Delivery, attempt: Attempt, seconds: float) -> Ack | None:
        body, kind = _body(delivery)
        timestamp = str(int(self._clock()))
        headers = {
            "content-type": kind,
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "x-slack-request-timestamp": timestamp,
            "x-slack-signature": signature(self._secret, timestamp, body),
        }
        if attempt.retry:
            headers |= {
                "x-slack-retry-num": str(attempt.retry),
                "x-slack-retry-reason": attempt.reason or "http_error",
            }
        if self._session is None:
            self._session = aiohttp.ClientSession()
        limit = aiohttp.ClientTimeout(total=max(0.01, seconds))
        try:
            async with self._session.post(
                self.url, data=body, headers=headers, timeout=limit
            ) as response:
                content = await response.read()
                return _ack(response, content)
        except TimeoutError:
            attempt.outcome = "http_timeout"
        except aiohttp.ClientError:
            attempt.outcome = "connection_failed"
        return None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _body(delivery: Delivery) -> tuple[bytes, str]:
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload).encode(), "application/json"
    if delivery.kind == "slash_commands":
        return urlencode(delivery.payload).encode(), "application/x-www-form-urlencoded"
    return urlencode(
        {"payload": json.dumps(delivery.payload)}
    ).encode(), "application/x-www-form-urlencoded"


def _ack(response: aiohttp.ClientResponse, content: bytes) -> Ack:
    if not 200 <= response.status < 300:
        return Ack(refused=True, no_retry=response.headers.get("x-slack-no-retry") == "1")
    return Ack(_payload(response.content_type, content))


def _payload(kind: str, content: bytes) -> Any:
    if not content:
        return None
    if kind == "application/json":
        try:
            return json.loads(content)
        except ValueError:
            return None
    return {"text": content.decode(errors="replace")}
