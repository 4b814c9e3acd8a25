"""One workspace's Web API: every call within the budgets, every failure with a meaning."""

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
from handlers.client.fencing import Before, passing
from handlers.rate_limits.dispatcher import CallDispatcher

log = get_logger(__name__)

LATE = 20.0
"""Seconds within which a call that was given up, or whose process died, may still take effect."""
_UNAVAILABLE_TTL = 3600.0
"""Seconds for which a refused method, or refused streaming, is not tried again."""
_RETRY_LIMIT = 900.0
"""Seconds for which a call is repeated while Slack cannot be reached."""
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
        timing: Timing = Timing(),
        bot_id: str | None = None,
        url: str = "https://slack.com/",
    ) -> None:
        self._client = client
        self._metrics = metrics
        self.timing = timing
        self._session = session
        self.team = team
        self.bot_user = bot_user
        self.bot_id = bot_id
        self.url = url if url.endswith("/") else f"{url}/"
        self._streamless: dict[str, float] = {}
        self._not_here: dict[str, float] = {}
        self._done: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._before: Before | None = None
        self.dispatcher = dispatcher

    def guarded(self, before: Before) -> SlackClient:
        """The same workspace, where each call leaves at the moment in which `before` returns."""
        guarded = copy.copy(self)
        guarded._before = before
        return guarded

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """One attempt, at once. The caller has been given its turn by the desk. Raises SlackError's leaves."""
        if self._before is not None:
            await self._before()
        began, result = time.monotonic(), "ok"
        try:
            with passing(self._before):
                answer = await getattr(self._client, method.replace(".", "_"))(**arguments)
            return dict(answer.data) if isinstance(answer.data, dict) else {}
        except SlackApiError as error:
            known = from_response(method, error)
            result = (
                known.code if isinstance(known, SlackRejected) else type(known).__name__.lower()
            )
            if isinstance(known, RateLimited):
                self._metrics.slack_rate_limited(method)
                self.dispatcher.rate_limited(method, _channel(arguments), known.retry_after)
            raise known from error
        except aiohttp.ClientConnectorError as error:
            result = "unreached"
            raise ConnectFailed(str(error)) from error
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            result = "unsure"
            raise OutcomeUnknown(f"{method}: {type(error).__name__}") from error
        finally:
            self.dispatcher.settle(method, _channel(arguments))
            self._metrics.slack_call(method, result, time.monotonic() - began)

    async def call_with_retry(
        self,
        method: str,
        *,
        again_if_unsure: bool = True,
        patience: float = _RETRY_LIMIT,
        **arguments: Any,
    ) -> dict[str, Any]:
        """A call that waits its turn and is repeated while Slack limits it or cannot be reached.

        `again_if_unsure` is for calls that may safely happen twice. Raises SlackRejected, Unsure, or after `patience`
        seconds the last error.
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
        """A call whose failure changes nothing for anybody: logged and forgotten. Says whether it succeeded."""
        return await self.try_call_error(method, patience=patience, **arguments) is None

    async def try_call_error(
        self, method: str, *, patience: float = _RETRY_LIMIT, **arguments: Any
    ) -> str | None:
        """Like `attempt`, but says why it failed; None when it did not.

        What this Slack does not have, or not for us, is remembered, and not asked for again for an hour.
        """
        if not self.has(method):
            return "not_here"
        try:
            await self.call_with_retry(method, patience=patience, **arguments)
        except SlackError as error:
            log.info("slack_call_failed", method=method, reason=str(error))
            if not isinstance(error, SlackRejected):
                return type(error).__name__.lower()
            if error.code in METHOD_UNAVAILABLE_CODES:
                self._not_here[method] = time.monotonic()
            return error.code
        return None

    def has(self, method: str) -> bool:
        """Whether this Slack has not said lately that it knows no such call."""
        said = self._not_here.get(method)
        return said is None or time.monotonic() - said > _UNAVAILABLE_TTL

    def at_most_every(self, *what: str, every: float) -> bool:
        """Whether nothing of this name has been done in the last `every` seconds; now it has."""
        now = time.monotonic()
        if now - self._done.get(what, now - every) < every:
            return False
        self._done[what] = now
        self._done.move_to_end(what)
        if len(self._done) > _MAX_REMEMBERED:
            self._done.popitem(last=False)
        return True

    def get(
        self, url: str, timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Asks for a file with the workspace's token; the caller has seen to it that the address is Slack's."""
        headers = {"Authorization": f"Bearer {self._client.token}"}
        return self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False)

    async def respond(self, response_url: str | None, **message: Any) -> bool:
        """Answers an interaction by its own address, which costs no budget. Says whether Slack took it."""
        if not response_url:
            return False
        began = time.monotonic()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(response_url, json=message) as response:
                taken = response.status == 200 and b'"ok":false' not in (
                    await response.read()
                ).replace(b" ", b"")
                self._metrics.slack_call(
                    "response_url",
                    "ok" if taken else str(response.status),
                    time.monotonic() - began,
                )
                return taken
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
        return [
            message
            async for page in self.pages(
                "conversations.replies", channel=channel, ts=thread, oldest=after
            )
            for message in page.get("messages", [])
            if self._is_own(message) and message["ts"] > after
        ]

    async def own_roots(self, channel: str, after: str) -> list[dict[str, Any]]:
        """The bot's own messages in a channel, outside of threads, that are younger than `after` (a ts).

        Raises SlackRejected, Unsure.
        """
        page = await self.call_with_retry(
            "conversations.history", channel=channel, oldest=after, limit=200
        )
        return [message for message in page.get("messages", []) if self._is_own(message)]

    def _is_own(self, message: dict[str, Any]) -> bool:
        return message.get("user") == self.bot_user or bool(
            self.bot_id and message.get("bot_id") == self.bot_id
        )

    def shown_after(self, seconds: float) -> None:
        """An answer's text became visible, the oldest of it so long after the model had sent it."""
        self._metrics.lag(seconds)

    def may_stream(self, channel: str) -> bool:
        """Whether native streaming has not been refused here."""
        now = time.monotonic()
        return all(
            now - self._streamless.get(where, now - _UNAVAILABLE_TTL) >= _UNAVAILABLE_TTL
            for where in ("", channel)
        )

    def no_stream(self, channel: str, code: str) -> None:
        """Native streaming was refused: in this channel, or by this Slack altogether. That is believed for a while."""
        if len(self._streamless) >= _MAX_REMEMBERED:
            self._streamless.clear()
        self._streamless["" if code in NO_STREAMING_CODES else channel] = time.monotonic()

    def permalink(self, channel: str, ts: str, thread: str | None = None) -> str:
        """The address of a message; with `thread` (the ts of its root) it opens the thread beside the channel.

        Made from the ids: a call for each row of a list would be dear.
        """
        address = f"{self.url}archives/{channel}/p{ts.replace('.', '')}"
        return f"{address}?thread_ts={thread}&cid={channel}" if thread else address


def _channel(arguments: dict[str, Any]) -> str:
    return arguments.get("channel") or arguments.get("channel_id") or ""
