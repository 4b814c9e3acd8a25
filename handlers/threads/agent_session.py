"""Slack's side of an agent: the session of a thread with its title and Stop control, and prompts for an empty pane."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from bot import strings
from bot.domain import Thread
from handlers.client.web_api import SlackClient
from handlers.markdown.text import plain

SESSION = "agents.sessions.setStatus"
RENAME = "agents.sessions.rename"
OLD_TITLE = "assistant.threads.setTitle"
PROMPTS = "assistant.threads.setSuggestedPrompts"

TITLE_MAX = 200
"""Characters of a session's title."""
TITLE_WITHIN = 600.0
"""Seconds."""
PROMPTS_MAX = 4
PROMPTS_EVERY = 600.0


class Working:
    """Whether Slack shows a thread as being worked on, which brings its own Stop. A native stream does it by itself."""

    def __init__(
        self, slack: SlackClient, channel: str, thread: str, *, maybe: bool = False
    ) -> None:
        """`maybe`: an earlier owner of the answer may have left it on."""
        self._slack = slack
        self._where = {"channel_id": channel, "thread_ts": thread}
        self._on = maybe
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self._show_soon())

    def streaming(self) -> None:
        """A native stream has begun, and the session with it."""
        self._on = True

    def released(self) -> None:
        """The end of a native stream has ended it."""
        self._on = False

    async def renew(self) -> None:
        """Shows it once more, if it is on: the thread's status line stands in the same place."""
        if self._on:
            await self._say("processing")

    async def end(self) -> None:
        await self.leave()
        if self._on:
            await self._say("active")

    async def leave(self) -> None:
        """Leaves it as it is: another process goes on."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _show_soon(self) -> None:
        await asyncio.sleep(self._slack.timing.session_start_delay)
        scarce = self._slack.dispatcher.free(SESSION) < self._slack.dispatcher.burst(SESSION) / 2
        if not self._on and not scarce:  # what is left of the budget is for ending the others
            self._on = True  # also if this is cancelled on the way
            self._on = await self._say("processing")

    async def _say(self, status: str) -> bool:
        return await bounded(self._slack, SESSION, **self._where, status=status)


async def bounded(slack: SlackClient, method: str, **arguments: Any) -> bool:
    """An attempt that gives up soon."""
    try:
        async with asyncio.timeout(slack.timing.session_call_timeout):
            return await slack.try_call(
                method, patience=slack.timing.session_call_timeout, **arguments
            )
    except TimeoutError:
        return False


async def entitle(slack: SlackClient, thread: Thread, title: str) -> None:
    """Brings a chat's title to where Slack lists its conversations; in a crowd perhaps too late to be worth it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TITLE_WITHIN):
            await _entitle(slack, thread, title)


async def _entitle(slack: SlackClient, thread: Thread, title: str) -> None:
    where: dict[str, Any] = {"channel_id": thread.channel, "thread_ts": thread.ts}
    title = session_title(title)
    reason = await slack.try_call_error(RENAME, **where, title=title)
    if reason == "session_not_found":  # edits open no session by themselves
        reason = await slack.try_call_error(SESSION, **where, status="active", title=title)
    if reason is not None and is_direct(thread.channel):
        await slack.try_call(OLD_TITLE, **where, title=title)


def session_title(title: str) -> str:
    """The title as Slack's session can hold it."""
    return plain(title, TITLE_MAX)


def is_direct(channel: str) -> bool:
    """Whether this is the conversation of one person with the bot. Only these ids begin with D; group DMs' do not."""
    return channel.startswith("D")


async def suggest(slack: SlackClient, channel: str) -> None:
    """Suggests in an empty pane what one could ask. Slack keeps the prompts, so this is not repeated soon."""
    if slack.at_most_every("prompts", channel, every=PROMPTS_EVERY):
        prompts = [
            {"title": title, "message": message} for title, message in strings.PROMPTS[:PROMPTS_MAX]
        ]
        await slack.try_call(
            PROMPTS, channel_id=channel, prompts=prompts, title=strings.PROMPTS_TITLE
        )


async def settle(slack: SlackClient, thread: Thread) -> None:
    """Slack's own Stop was pressed where nothing was being written any more: take it away."""
    await slack.try_call(SESSION, channel_id=thread.channel, thread_ts=thread.ts, status="active")
