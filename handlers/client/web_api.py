"""The Web API of one workspace: every call within the rate limits, every failure as a `SlackError`."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import StorageError
from bot.observability import Metrics, get_logger
from bot.timing import Timing
from handlers.client.errors import (
    METHOD_UNAVAILABLE_CODES,
    NO_STREAMING_CODES,
    ConnectFailed,
    OutcomeUnknown,
    RateLimited,
    SlackError,
    SlackRejected,
    from_response,
)
from handlers.client.fencing import BeforeSend, fenced
from handlers.rate_limits.dispatcher import CallDispatcher
from storage.once import Once

log = get_logger(__name__)

_UNAVAILABLE_TTL = 3600.0
"""Seconds for which a refused method, or refused streaming, is not tried again."""
_RETRY_LIMIT = 900.0
"""Seconds for which a call is repeated while Slack cannot be reached."""
PAGE_SIZE = 200
"""Messages of one page of a thread or a channel."""
_MAX_REMEMBERED = 2_000
"""Entries of each of the client's memories."""


class SlackClient:
    """The Web API of one workspace, as one bot user."""

    def __init__(
        self,
        client: AsyncWebClient,
        *,
        team: str,
        bot_user: str,
        dispatcher: CallDispatcher,
        metrics: Metrics,
        session: aiohttp.ClientSession,
        once: Once,
        timing: Timing = Timing(),
        bot_id: str | None = None,
        url: str = "https://slack.com/",
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._session = session
        self._once = once
        self._no_streaming: dict[str, float] = {}
        """When native streaming was refused, by channel; "" means the whole workspace."""
        self._unavailable_methods: dict[str, float] = {}
        """When each method was refused."""
        self._last_done: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._before_send: BeforeSend | None = None
        self.timing = timing
        self.team = team
        self.bot_user = bot_user
        self.bot_id = bot_id
        self.url = url if url.endswith("/") else f"{url}/"
        self.dispatcher = dispatcher

    def fenced(self, before_send: BeforeSend) -> SlackClient:
        """A client for the same workspace whose calls are sent only when `before_send` has returned."""
        client = copy.copy(self)
        client._before_send = before_send
        return client

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """One attempt, at once; the dispatcher has granted it before. Raises a subclass of SlackError."""
        if self._before_send is not None:
            await self._before_send()
        started_at, result = time.monotonic(), "ok"
        try:
            return await self._send(method, arguments)
        except SlackError as error:
            result = error.result
            if isinstance(error, RateLimited):
                self._metrics.count_rate_limited(method)
                self.dispatcher.rate_limited(method, _channel(arguments), error.retry_after)
            raise
        finally:
            self.dispatcher.settle(method, _channel(arguments))
            self._metrics.observe_slack_call(method, result, time.monotonic() - started_at)

    async def _send(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            with fenced(self._before_send):
                response = await getattr(self._client, method.replace(".", "_"))(**arguments)
            return dict(response.data) if isinstance(response.data, dict) else {}
        except SlackApiError as error:
            raise from_response(method, error) from error
        except aiohttp.ClientConnectorError as error:
            raise ConnectFailed(str(error)) from error
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise OutcomeUnknown(f"{method}: {type(error).__name__}") from error

    async def call_with_retry(
        self,
        method: str,
        *,
        again_if_unsure: bool = True,
        patience: float = _RETRY_LIMIT,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Makes a call when it is granted, and repeats it while Slack limits it or cannot be reached.

        `again_if_unsure`: repeats it after an unknown outcome too, for calls that may safely take effect twice.
        Raises SlackRejected, OutcomeUnknown, or after `patience` seconds the last error.
        """
        channel = _channel(arguments)
        deadline = time.monotonic() + patience
        pause = 0.5
        while True:
            await self.dispatcher.acquire(method, channel)
            try:
                return await self.call(method, **arguments)
            except RateLimited:
                if time.monotonic() > deadline:
                    raise
                continue
            except (OutcomeUnknown, ConnectFailed) as error:
                if time.monotonic() > deadline or (
                    isinstance(error, OutcomeUnknown) and not again_if_unsure
                ):
                    raise
            await asyncio.sleep(pause)
            pause = min(15.0, pause * 2)

    async def try_call(
        self, method: str, *, patience: float = _RETRY_LIMIT, **arguments: Any
    ) -> bool:
        """Makes a call whose failure is only logged. Returns whether it succeeded."""
        return await self.try_call_error(method, patience=patience, **arguments) is None

    async def try_call_error(
        self, method: str, *, patience: float = _RETRY_LIMIT, **arguments: Any
    ) -> str | None:
        """Like `try_call`, but returns why the call failed; None when it succeeded.

        A method that this workspace does not have, or not for this app, is not called again for an hour.
        """
        if not self._is_available(method):
            return "unavailable"
        try:
            await self.call_with_retry(method, patience=patience, **arguments)
        except SlackError as error:
            log.info("slack_call_failed", method=method, reason=str(error))
            if isinstance(error, SlackRejected) and error.code in METHOD_UNAVAILABLE_CODES:
                self._unavailable_methods[method] = time.monotonic()
            return error.result
        return None

    def _is_available(self, method: str) -> bool:
        refused_at = self._unavailable_methods.get(method)
        return refused_at is None or time.monotonic() - refused_at > _UNAVAILABLE_TTL

    def at_most_every(self, *what: str, every: float) -> bool:
        """Whether this has not been done in the last `every` seconds; if so, it counts as done now."""
        now = time.monotonic()
        if now - self._last_done.get(what, now - every) < every:
            return False
        self._last_done[what] = now
        self._last_done.move_to_end(what)
        if len(self._last_done) > _MAX_REMEMBERED:
            self._last_done.popitem(last=False)
        return True

    async def is_first(self, *what: str, within: float) -> bool:
        """Whether no replica has done this in the last `within` seconds; if so, it counts as done now.

        While the database is away the answer is True: being told twice is better than never.
        """
        try:
            return await self._once.claim(self.team, *what, seconds=within)
        except StorageError as error:
            log.warning("once_unknown", reason=str(error))
            return True

    def download(
        self, url: str, timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Requests a file with the workspace's token. The caller has checked that the URL is one of Slack's."""
        headers = {"Authorization": f"Bearer {self._client.token}"}
        return self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False)

    async def respond(self, response_url: str | None, **message: Any) -> bool:
        """Answers an interaction by its response URL, which no rate limit counts. Returns whether Slack accepted it."""
        if not response_url:
            return False
        started_at = time.monotonic()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(response_url, json=message) as response:
                body = (await response.read()).replace(b" ", b"")
                accepted = response.status == 200 and b'"ok":false' not in body
                result = "ok" if accepted else str(response.status)
                self._metrics.observe_slack_call(
                    "response_url", result, time.monotonic() - started_at
                )
                return accepted
        return False

    async def pages(self, method: str, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        """The pages of a list that Slack cuts by cursor, each read when it is asked for.

        `arguments` are those of `call_with_retry`. Raises SlackError.
        """
        cursor: dict[str, Any] = {}
        while True:
            page = await self.call_with_retry(method, **arguments, **cursor)
            yield page
            next_cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not next_cursor:
                return
            cursor = {"cursor": str(next_cursor)}

    async def own_messages(self, channel: str, thread: str, after: str) -> list[dict[str, Any]]:
        """The bot's own messages in a thread that are newer than the ts `after`. Raises SlackError."""
        return await self._own("conversations.replies", after, channel=channel, ts=thread)

    async def own_channel_messages(self, channel: str, after: str) -> list[dict[str, Any]]:
        """The bot's own messages in a channel, outside threads, newer than the ts `after`. Raises SlackError."""
        return await self._own("conversations.history", after, channel=channel)

    async def _own(self, method: str, after: str, **arguments: Any) -> list[dict[str, Any]]:
        return [
            message
            async for page in self.pages(method, oldest=after, limit=PAGE_SIZE, **arguments)
            for message in page.get("messages", [])
            if self._is_own(message) and message["ts"] > after
        ]

    def _is_own(self, message: dict[str, Any]) -> bool:
        return message.get("user") == self.bot_user or bool(
            self.bot_id and message.get("bot_id") == self.bot_id
        )

    def record_lag(self, seconds: float) -> None:
        """Text of an answer became visible, this many seconds after the model had sent the oldest of it."""
        self._metrics.observe_lag(seconds)

    def can_stream(self, channel: str) -> bool:
        """Whether native streaming has not been refused here lately."""
        now = time.monotonic()
        return all(
            now - self._no_streaming.get(scope, now - _UNAVAILABLE_TTL) >= _UNAVAILABLE_TTL
            for scope in ("", channel)
        )

    def disable_streaming(self, channel: str, code: str) -> None:
        """Native streaming was refused: by the code, in this channel or in the whole workspace. Holds for an hour."""
        if len(self._no_streaming) >= _MAX_REMEMBERED:
            self._no_streaming.clear()
        self._no_streaming["" if code in NO_STREAMING_CODES else channel] = time.monotonic()

    def permalink(self, channel: str, ts: str, thread: str | None = None) -> str:
        """The URL of a message; with `thread` (the ts of its root) it opens the thread beside the channel.

        It is made from the ids, since a call for each row of a list would use up the rate limit.
        """
        address = f"{self.url}archives/{channel}/p{ts.replace('.', '')}"
        return f"{address}?thread_ts={thread}&cid={channel}" if thread else address


def _channel(arguments: dict[str, Any]) -> str:
    return arguments.get("channel") or arguments.get("channel_id") or ""
