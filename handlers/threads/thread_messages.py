"""The bot's own messages in the thread of a chat request: posting them once, finding and replacing them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from bot.chats.chat_request_lifecycle import GivenUp, RequestLifecycle
from handlers.client.errors import NotInstalled, SlackRejected
from handlers.client.post_once import post_message_once
from handlers.client.response_urls import RESPONSE_URL_LIFETIME
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import WorkspaceResolver
from handlers.markdown.plain_text import plain
from handlers.rate_limits.slack_rates import UPDATE
from handlers.rate_limits.urgency import Urgency
from handlers.threads.own_messages import with_block
from handlers.views.blocks import Block
from storage.chat_requests import ChatRequest

Draw = Callable[[], Awaitable[dict[str, Any]]]
"""Makes a message's arguments (`message`) from what is stored."""
MAX_FALLBACK_LENGTH = 300
"""Characters of the text that notifications show in place of the blocks."""
CROWDED_SHARE = 0.5
"""If less than this share of the rate limit for edits is left, messages are replaced without an edit if possible."""
REMEMBERED_URLS = 1_000
"""Messages whose newest `response_url` is remembered."""


class ThreadMessages:
    """Menus and headers as Slack messages."""

    def __init__(
        self,
        workspaces: WorkspaceResolver,
        lifecycle: RequestLifecycle,
        crowded_share: float = CROWDED_SHARE,
    ) -> None:
        self._workspaces = workspaces
        self._lifecycle = lifecycle
        self._crowded_share = crowded_share
        self._response_urls: dict[tuple[str, str], tuple[str, float]] = {}
        """The newest by channel and ts, and until when it is used (`time.monotonic()`), in the order they came."""

    async def client_for(self, request: ChatRequest) -> SlackClient | None:
        """The client of the request's workspace. If the app is no longer installed there: None, and the request is
        given up.
        """
        try:
            return await self._workspaces.client_for(request.thread.team)
        except NotInstalled:
            await self._lifecycle.advance(request, GivenUp())
            return None

    async def post(
        self,
        slack: SlackClient,
        request: ChatRequest,
        content: list[Block],
        text: str,
        *,
        look_first: bool = False,
    ) -> str:
        """Posts a message, identified by its first block's id, once, in the request's thread; returns its ts.

        `look_first`: a dead process may have posted it. Raises SlackError.
        """
        return await post_message_once(
            slack,
            lambda: self.find(slack, request, content[0]["block_id"]),
            look_first=look_first,
            channel=request.thread.channel,
            thread_ts=request.thread.ts,
            blocks=content,
            text=text,
        )

    async def find(self, slack: SlackClient, request: ChatRequest, block_id: str) -> str | None:
        """The ts of the bot's message with this block; also None if Slack refuses to show the thread."""
        try:
            found = await self.find_all(slack, request, block_id)
        except SlackRejected:
            return None
        return found[0] if found else None

    async def find_all(self, slack: SlackClient, request: ChatRequest, block_id: str) -> list[str]:
        """The ts of each of the bot's messages with this block. Raises SlackError."""
        thread = request.thread
        found = await slack.own_messages(thread.channel, thread.ts, request.mention_ts or thread.ts)
        return with_block(found, block_id)

    async def replace(
        self,
        slack: SlackClient,
        *,
        channel: str,
        ts: str,
        draw: Draw,
        urgency: Urgency = Urgency.DECORATION,
        response_url: str | None = None,
    ) -> str | None:
        """Replaces a message; returns why that failed, None if Slack accepted it or a newer replacement meanwhile.

        `draw` is called when the call's turn has come, so that it shows the current state. `response_url`: of an
        interaction with this message. It is not subject to rate limits, so it is used when edits are scarce, now and
        later.
        """
        if response_url:
            self._remember((channel, ts), response_url)
        if self.crowded(slack) and await self._respond(slack, channel, ts, draw):
            return None
        return await slack.try_call_error(
            UPDATE, channel=channel, ts=ts, urgency=urgency, fresh=draw
        )

    def _remember(self, message: tuple[str, str], response_url: str) -> None:
        self._response_urls.pop(message, None)
        self._response_urls[message] = response_url, time.monotonic() + RESPONSE_URL_LIFETIME
        if len(self._response_urls) > REMEMBERED_URLS:
            del self._response_urls[next(iter(self._response_urls))]

    def _forget(self, message: tuple[str, str], response_url: str) -> None:
        """Forgets a URL that is no longer usable, unless a press has brought a newer one meanwhile."""
        if self._response_urls.get(message, ("", 0.0))[0] == response_url:
            del self._response_urls[message]

    async def _respond(self, slack: SlackClient, channel: str, ts: str, draw: Draw) -> bool:
        """Replaces the message through its newest `response_url`, if there is one that is neither used up nor too old.

        It is drawn when its turn has come, as for an edit: drawn earlier, it could undo something newer. While waiting
        for its turn it holds no database connection, and each step has a time limit.
        """
        async with slack.in_order(UPDATE, channel=channel, ts=ts):
            response_url, until = self._response_urls.get((channel, ts), ("", 0.0))
            if not response_url:
                return False
            if time.monotonic() < until and await slack.respond(
                response_url, replace_original=True, **await draw()
            ):
                return True
            self._forget((channel, ts), response_url)
        return False

    def crowded(self, slack: SlackClient) -> bool:
        """Whether edits are scarce, so that answers should have them."""
        free, burst = (
            slack.dispatcher.available(UPDATE),
            slack.dispatcher.burst(UPDATE),
        )
        return free < burst * self._crowded_share


def message(content: list[Block], text: str) -> dict[str, Any]:
    """The arguments that show these blocks; `text` is what notifications show instead."""
    return {"blocks": content, "text": plain(text, MAX_FALLBACK_LENGTH)}


async def delete_message(slack: SlackClient, channel: str, ts: str) -> None:
    """Deletes a message that two processes posted for the same purpose."""
    await slack.try_call("chat.delete", channel=channel, ts=ts)
