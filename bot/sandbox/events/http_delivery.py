"""HTTP delivery: signed POSTs to the app's request URLs, and the challenge with which Slack verifies a URL."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from asyncio import Event
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

import aiohttp

from bot.sandbox.events.delivery import Ack
from bot.sandbox.journal import Attempt, Delivery
from bot.sandbox.types import Clock

MAX_REDIRECTS = 2
FORM = "application/x-www-form-urlencoded"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's `v0` signature of a request body."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class RequestUrls:
    """Where the app receives requests: all at one address, or some kinds at their own.

    `own` has the keys `events`, `interactivity`, `options`, and the names of commands.
    """

    url: str
    own: Mapping[str, str] = field(default_factory=dict)

    def of(self, kind: str, name: str) -> str:
        """The address for an envelope of this kind and name."""
        if kind == "slash_commands":
            return self.own.get(name, self.url)
        if name == "block_suggestion" and "options" in self.own:
            return self.own["options"]
        return self.own.get("events" if kind == "events_api" else "interactivity", self.url)


class HttpDelivery:
    """A Transport to the app's request URLs for events, commands, interactions and menus.

    Unless `verified`, nothing is sent before the app has answered a `challenge`.
    """

    def __init__(
        self, urls: RequestUrls, signing_secret: str, clock: Clock, *, verified: bool = True
    ) -> None:
        self.urls = urls
        self._secret = signing_secret
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._verified = Event()
        if verified:
            self._verified.set()

    def is_open(self) -> bool:
        return self._verified.is_set()

    async def wait_until_open(self) -> None:
        await self._verified.wait()

    async def send(self, delivery: Delivery, attempt: Attempt, seconds: float) -> Ack | None:
        body, kind = _body(delivery)
        retry = {}
        if attempt.retry:
            retry = {
                "X-Slack-Retry-Num": str(attempt.retry),
                "X-Slack-Retry-Reason": attempt.reason or "http_error",
            }
        try:
            response, content = await self._post(
                self.urls.of(delivery.kind, delivery.name), body, kind, seconds, retry
            )
        except TimeoutError:
            attempt.outcome = "http_timeout"
        except aiohttp.TooManyRedirects:
            attempt.outcome = "too_many_redirects"
        except aiohttp.ClientError:
            attempt.outcome = "connection_failed"
        else:
            ack = _ack(response, content)
            if ack.refused:
                attempt.outcome = "http_error"
            return ack
        return None

    async def challenge(self, seconds: float) -> str | None:
        """Sends `url_verification` to the events' URL. Returns what is wrong with the response; None if nothing is."""
        word = secrets.token_urlsafe(36)
        asked = {
            "type": "url_verification",
            "token": "sandbox-verification-token",
            "challenge": word,
        }
        url, body = self.urls.of("events_api", "url_verification"), json.dumps(asked).encode()
        try:
            response, content = await self._post(url, body, "application/json", seconds)
        except TimeoutError:
            return f"{url} did not answer within {seconds:g} s"
        except aiohttp.ClientError:
            return f"nothing answers at {url} yet"
        if response.status != 200:
            return f"{url} answered HTTP {response.status} to url_verification"
        if word not in _challenges(content.decode(errors="replace")):
            return f"{url} did not answer url_verification with the challenge"
        self._verified.set()
        return None

    async def _post(
        self, url: str, body: bytes, kind: str, seconds: float, headers: Mapping[str, str] = {}
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        timestamp = str(int(self._clock()))
        signed = {
            "Content-Type": kind,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self._secret, timestamp, body),
        }
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.post(
            url,
            data=body,
            headers={**signed, **headers},
            timeout=aiohttp.ClientTimeout(total=max(0.01, seconds)),
            max_redirects=MAX_REDIRECTS,
        ) as response:
            return response, await response.read()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _challenges(body: str) -> set[str]:
    """The possible challenges in the body: its text, a field of its JSON, or of its form."""
    found = {body.strip(), *parse_qs(body).get("challenge", [])}
    try:
        answer = json.loads(body)
    except ValueError:
        return found
    return found | {str(answer.get("challenge"))} if isinstance(answer, dict) else found


def _body(delivery: Delivery) -> tuple[bytes, str]:
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload).encode(), "application/json"
    if delivery.kind == "slash_commands":
        return urlencode(delivery.payload).encode(), FORM
    return urlencode({"payload": json.dumps(delivery.payload)}).encode(), FORM


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
