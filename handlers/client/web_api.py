"""The Web API of one workspace: every call within the rate limits, every failure as a `SlackError`."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.network.failures import explain
from bot.observability import Metrics, get_logger
from bot.runtime.tasks import KeyedLocks
from bot.timing import Timing
from bot.tracing import SpanKind, span
from handlers.client.call_targets import channel_of, target_of
from handlers.client.errors import (
    METHOD_UNAVAILABLE_CODES,
    NO_STREAMING_CODES,
    ConnectFailed,
    OutcomeUnknown,
    RateLimited,
    SlackError,
    SlackRejected,
    Superseded,
    TooLate,
    Unanswered,
    from_response,
)
from handlers.client.fencing import BeforeSend, fenced
from handlers.client.granted_scopes import GrantedScopes
from handlers.client.pages import PAGE_SIZE, next_cursor_of
from handlers.client.response_urls import Responder
from handlers.client.team_claims import TeamClaims
from handlers.rate_limits.dispatcher import CallDispatcher, Replaced
from handlers.rate_limits.urgency import Urgency
from storage.action_claims import ActionClaims

log = get_logger(__name__)

_MISSING_SUBSCRIPTION = re.compile(r"missing_(\w+)_event_subscription")
_MARKDOWN_TEXT, _TASK_CARDS = "markdown_text", "task_update"
_UNAVAILABLE_TTL = 3600.0
"""Seconds for which a refused method, or refused streaming, is not tried again."""
RETRY_LIMIT = 900.0
"""Seconds for which a call is repeated while Slack cannot be reached."""
_FIRST_PAUSE = 0.5
"""Seconds before a failed call is repeated; doubles each time."""
_LONGEST_PAUSE = 15.0
Fresh = Callable[[], Awaitable[dict[str, Any]]]
"""Makes a call's arguments from what is stored when its turn has come."""
Sending = Callable[[], AbstractContextManager[None]]
"""Makes a context that lasts from when a call is sent until its response, failure or cancellation."""
_MAX_REMEMBERED = 2_000
"""Entries of each of the client's memories."""
UPLOAD_TIMEOUT = 60.0
"""Seconds for the bytes of one file."""


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
        claims: ActionClaims,
        timing: Timing = Timing(),
        bot_id: str | None = None,
        url: str = "https://slack.com/",
        organisation: str = "",
    ) -> None:
        """`organisation`: id of the organisation that the workspace belongs to (`E…`); empty for none."""
        self._client = client
        self.metrics = metrics
        self._session = session
        self._responder = Responder(session, metrics)
        self.claims = TeamClaims(claims, team)
        self._no_streaming: dict[str, float] = {}
        """When native streaming was refused, by channel; "" means the whole workspace."""
        self._unavailable: dict[str, float] = {}
        """When each method, or argument, was refused."""
        self._targets: KeyedLocks[Hashable] = KeyedLocks()
        self._last_done: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._before_send: BeforeSend | None = None
        self.timing = timing
        self.team = team
        self.bot_user = bot_user
        self.bot_id = bot_id
        self.organisation = organisation
        self.url = url if url.endswith("/") else f"{url}/"
        self.dispatcher = dispatcher
        self.granted = GrantedScopes()

    def fenced(self, before_send: BeforeSend) -> SlackClient:
        """A client for the same workspace whose calls are sent only after `before_send` has returned."""
        client = copy.copy(self)
        client._before_send = before_send
        return client

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Makes one attempt immediately; the dispatcher has already granted it. Raises a subclass of SlackError."""
        if self._before_send is not None:
            await self._before_send()
        started_at, result = time.monotonic(), OutcomeUnknown.result
        try:
            with span(f"slack.api {method}", SpanKind.CLIENT):
                response = await self._send(method, arguments)
            result = "ok"
            return response
        except SlackError as error:
            result = error.result
            if isinstance(error, RateLimited):
                self.metrics.count_rate_limited(method)
                self.dispatcher.rate_limited(method, channel_of(arguments), error.retry_after)
            raise
        finally:
            self.dispatcher.settle(method, channel_of(arguments))
            self.metrics.observe_slack_call(method, result, time.monotonic() - started_at)

    async def _send(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            with fenced(self._before_send):
                response = await getattr(self._client, method.replace(".", "_"))(**arguments)
            self.granted.note(response.headers)
            data = dict(response.data) if isinstance(response.data, dict) else {}
            self._log_missing_subscription(data)
            return data
        except SlackApiError as error:
            self.granted.note(getattr(error.response, "headers", None))
            raise from_response(method, error) from error
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError) as error:
            raise ConnectFailed(explain(error) or str(error)) from error
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise Unanswered(f"{method}: {type(error).__name__}") from error

    def _log_missing_subscription(self, data: dict[str, Any]) -> None:
        """Logs, at most once an hour, Slack's warning about an event that the app has not subscribed to."""
        warnings = (data.get("response_metadata") or {}).get("warnings") or [data.get("warning")]
        for warning in warnings:
            event = _MISSING_SUBSCRIPTION.fullmatch(str(warning))
            if event and self.at_most_every("subscription", event[1], every=_UNAVAILABLE_TTL):
                log.warning(
                    "event_not_subscribed",
                    name=event[1],
                    advice="paste the manifest again (bobbin manifest) and reinstall the app",
                )

    async def call_with_retry(
        self,
        method: str,
        *,
        retry_if_unknown: bool = True,
        retry_if_unanswered: bool = True,
        max_wait: float = RETRY_LIMIT,
        urgency: Urgency | None = None,
        fresh: Fresh | None = None,
        sending: Sending = contextlib.nullcontext,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Makes a call when it is granted, and repeats it while Slack limits it or cannot be reached.

        `retry_if_unknown`: also repeats it after an unknown outcome, for calls that may safely take effect twice.
        `retry_if_unanswered`: even if there was no response, so that the first attempt may take effect later.
        `max_wait`: seconds for everything, including the time in the queue. `urgency`: the method's usual one, if None.
        `fresh`: further arguments, computed when the call's turn comes, so that it shows the current state. `sending`:
        entered for each attempt. Raises SlackRejected, OutcomeUnknown, Superseded, or after `max_wait` seconds TooLate
        or the last error.
        """
        deadline = asyncio.get_running_loop().time() + max_wait
        channel, target = channel_of(arguments), target_of(method, arguments)
        pause = _FIRST_PAUSE
        while True:
            await self._turn(method, channel, urgency, target, deadline)
            try:
                async with asyncio.timeout_at(deadline), self._in_order(target):
                    more = await self._made(fresh, method, channel)
                    with sending():
                        return await self.call(method, **arguments, **more)
            except TimeoutError:
                raise Unanswered(f"{method}: no response in time") from None
            except RateLimited as error:
                _raise_if_late(error, deadline)
                continue
            except ConnectFailed as error:
                _raise_if_late(error, deadline, pause)
            except OutcomeUnknown as error:
                again = retry_if_unanswered or not isinstance(error, Unanswered)
                _raise_if_late(error, deadline if again and retry_if_unknown else 0.0, pause)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _turn(
        self, method: str, channel: str, urgency: Urgency | None, target: Hashable, deadline: float
    ) -> None:
        """Waits until the call is granted. Raises TooLate, Superseded."""
        try:
            async with asyncio.timeout_at(deadline):
                await self.dispatcher.acquire(method, channel, urgency, target)
        except TimeoutError:
            raise TooLate(f"{method}: no turn in time") from None
        except Replaced:
            raise Superseded(f"{method}: a newer call sets the same") from None

    def _in_order(self, target: Hashable) -> AbstractAsyncContextManager[Any]:
        """Sends calls with the same target one after the other, so that the newest has the last word."""
        return contextlib.nullcontext() if target is None else self._targets[target]

    def in_order(self, method: str, **arguments: Any) -> AbstractAsyncContextManager[Any]:
        """Prevents calls of this method from setting the same target while the block sets it by other means."""
        return self._in_order(target_of(method, arguments))

    async def _made(self, fresh: Fresh | None, method: str, channel: str) -> dict[str, Any]:
        """The fresh arguments of a granted call; if they cannot be made, the call is not made."""
        try:
            return {} if fresh is None else await fresh()
        except BaseException:
            self.dispatcher.refund(method, channel)
            raise

    async def try_call(self, method: str, **arguments: Any) -> bool:
        """Makes a call whose failure is only logged; takes the arguments of `call_with_retry`.

        Returns whether it succeeded.
        """
        return await self.try_call_error(method, **arguments) is None

    async def try_call_error(self, method: str, **arguments: Any) -> str | None:
        """Like `try_call`, but returns the failure's `result`; None if it succeeded or a newer call replaced it."""
        failure = await self.failure_of(method, **arguments)
        return None if failure is None else failure.result

    async def failure_of(self, method: str, **arguments: Any) -> SlackError | None:
        """Like `try_call_error`, but returns the failure itself.

        A method that is unavailable in this workspace or to this app is not called again for an hour.
        """
        if not self._is_available(method):
            return SlackRejected(method, "unavailable")
        try:
            await self.call_with_retry(method, **arguments)
        except Superseded:
            return None
        except SlackError as error:
            log.info("slack_call_failed", method=method, reason=str(error))
            if isinstance(error, SlackRejected) and error.code in METHOD_UNAVAILABLE_CODES:
                self._unavailable[method] = time.monotonic()
            return error
        return None

    def _is_available(self, what: str) -> bool:
        refused_at = self._unavailable.get(what)
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

    def download(
        self, url: str, timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Requests a file with the workspace's token. The caller has checked that the URL is one of Slack's."""
        headers = {"Authorization": f"Bearer {self._client.token}"}
        return self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False)

    async def upload(self, url: str, data: bytes) -> None:
        """Sends a file's bytes to the address that Slack gave for them. Raises a subclass of SlackError."""
        try:
            timeout = aiohttp.ClientTimeout(total=UPLOAD_TIMEOUT)
            async with self._session.post(url, data=data, timeout=timeout) as response:
                if response.status == 429 or response.status >= 500:
                    raise OutcomeUnknown(f"upload: HTTP {response.status}")
                if response.status != 200:
                    raise SlackRejected("upload", f"HTTP {response.status}")
        except (TimeoutError, aiohttp.ClientError) as error:
            raise OutcomeUnknown(f"upload: {type(error).__name__}") from error

    async def respond(self, response_url: str | None, **message: Any) -> bool:
        """Answers an interaction through its response URL, which no rate limit covers. Returns whether Slack accepted
        it.

        Also False once the URL has been used as often as Slack allows.
        """
        return await self._responder.respond(response_url, message)

    async def pages(
        self, method: str, *, max_wait: float = RETRY_LIMIT, **arguments: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """The pages of a list that Slack paginates by cursor, each read when it is needed.

        Takes the arguments of `call_with_retry`; `max_wait` is for all pages together. Raises SlackError.
        """
        deadline = time.monotonic() + max_wait
        cursor: dict[str, Any] = {}
        while True:
            left = deadline - time.monotonic()
            page = await self.call_with_retry(method, max_wait=left, **arguments, **cursor)
            yield page
            if (next_cursor := next_cursor_of(page)) is None:
                return
            cursor = {"cursor": next_cursor}

    async def own_messages(
        self, channel: str, thread: str, after: str, max_wait: float = RETRY_LIMIT
    ) -> list[dict[str, Any]]:
        """The bot's own messages in a thread that are newer than the ts `after`. Raises SlackError."""
        return await self._own("conversations.replies", after, max_wait, channel=channel, ts=thread)

    async def own_channel_messages(self, channel: str, after: str) -> list[dict[str, Any]]:
        """The bot's own messages in a channel, outside threads, newer than the ts `after`. Raises SlackError."""
        return await self._own("conversations.history", after, channel=channel)

    async def _own(
        self, method: str, after: str, max_wait: float = RETRY_LIMIT, **arguments: Any
    ) -> list[dict[str, Any]]:
        arguments |= {"oldest": after, "limit": PAGE_SIZE, "max_wait": max_wait}
        return [
            message
            async for page in self.pages(method, **arguments)
            for message in page.get("messages", [])
            if self._is_own(message) and message["ts"] > after
        ]

    def _is_own(self, message: dict[str, Any]) -> bool:
        return message.get("user") == self.bot_user or bool(
            self.bot_id and message.get("bot_id") == self.bot_id
        )

    def can_stream(self, channel: str) -> bool:
        """Whether native streaming has not been rejected here recently."""
        now = time.monotonic()
        return all(
            now - self._no_streaming.get(scope, now - _UNAVAILABLE_TTL) >= _UNAVAILABLE_TTL
            for scope in ("", channel)
        )

    def disable_streaming(self, channel: str, code: str) -> None:
        """Native streaming was rejected: depending on the code, for this channel or the whole workspace. Lasts for an
        hour.
        """
        if len(self._no_streaming) >= _MAX_REMEMBERED:
            self._no_streaming.clear()
        self._no_streaming["" if code in NO_STREAMING_CODES else channel] = time.monotonic()

    def knows_markdown_text(self) -> bool:
        """Whether a message's argument `markdown_text` has not been ignored here recently."""
        return self._is_available(_MARKDOWN_TEXT)

    def disable_markdown_text(self) -> None:
        """A message with only `markdown_text` was rejected as having no text. Lasts for an hour."""
        self._unavailable[_MARKDOWN_TEXT] = time.monotonic()

    def takes_task_cards(self) -> bool:
        """Whether `task_update` chunks have not been rejected here recently."""
        return self._is_available(_TASK_CARDS)

    def disable_task_cards(self) -> None:
        """A stream's call was rejected because of such chunks. Lasts for an hour."""
        self._unavailable[_TASK_CARDS] = time.monotonic()

    def permalink(self, channel: str, ts: str, thread: str | None = None) -> str:
        """The URL of a message; with `thread` (the ts of its root) it opens the thread beside the channel.

        It is built from the ids, because a call for each row of a list would use up the rate limit.
        """
        address = f"{self.url}archives/{channel}/p{ts.replace('.', '')}"
        return f"{address}?thread_ts={thread}&cid={channel}" if thread else address


def _raise_if_late(error: SlackError, deadline: float, pause: float = 0.0) -> None:
    """Raises the error if another attempt after `pause` seconds would be too late."""
    if asyncio.get_running_loop().time() + pause > deadline:
        raise error
