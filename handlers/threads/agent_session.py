"""Slack's agent sessions: the title and Stop control of a thread, and suggested prompts for an empty pane.

While a session is `processing`, Slack shows its own Stop control in the thread; `active` removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from bot import strings
from bot.domain import Thread
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import plain
from handlers.threads.brief_calls import BriefCalls, Effect
from handlers.views.blocks import is_direct

SET_SESSION_STATUS = "agents.sessions.setStatus"
RENAME_SESSION = "agents.sessions.rename"
SET_ASSISTANT_TITLE = "assistant.threads.setTitle"
"""The older call, for workspaces without agent sessions; it exists for direct messages only."""
SET_SUGGESTED_PROMPTS = "assistant.threads.setSuggestedPrompts"

MAX_TITLE_CHARS = 200
MAX_PROMPTS = 4
PROMPTS_INTERVAL = 600.0
"""Seconds between two settings of one pane's prompts, which Slack keeps."""


class AgentSession:
    """The session of a thread while an answer is written. A native stream opens and ends the session itself."""

    def __init__(
        self, slack: SlackClient, channel: str, thread: str, *, may_be_processing: bool = False
    ) -> None:
        """`may_be_processing`: whether an earlier worker of this answer may have left the session in that state."""
        self._slack = slack
        self.calls = BriefCalls(slack, SET_SESSION_STATUS, channel_id=channel, thread_ts=thread)
        self._processing = may_be_processing
        """Whether Slack may show its Stop control, as far as the responses tell."""
        self._task: asyncio.Task[None] | None = None
        self._is_ending = False

    @property
    def is_left(self) -> bool:
        """Whether Slack may show its Stop control now, or may still come to show it."""
        return self._processing or self.calls.may_have_effect

    def start(self) -> None:
        """Shows the session as processing if the answer takes longer than a moment."""
        self._task = asyncio.create_task(self._process_after_delay())

    def stream_started(self) -> None:
        """A native stream has begun, and with it the session."""
        self._processing = True

    def stream_stopped(self) -> None:
        """The end of a native stream has ended the session, unless a call that is on its way begins it again."""
        self._processing = False

    def text_ended(self) -> None:
        """There is nothing left to stop: makes no further call."""
        self._is_ending = True

    async def renew(self) -> None:
        """Sets the state again after the thread's status line, which Slack shows in the same place."""
        if self._processing and not self._is_ending:
            await self._process()

    async def detach(self) -> None:
        """Stops renewing the session and leaves it to another worker, or to after-work, which ends it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _process_after_delay(self) -> None:
        await asyncio.sleep(self._slack.timing.session_start_delay)
        dispatcher = self._slack.dispatcher
        # The rest of the rate limit is reserved for ending the other sessions.
        scarce = dispatcher.available(SET_SESSION_STATUS) < dispatcher.burst(SET_SESSION_STATUS) / 2
        if not self._processing and not scarce and not self._is_ending:
            await self._process()

    async def _process(self) -> None:
        """A stream that ended during the call may have ended the session before it."""
        if await self.calls.make(status="processing") is not Effect.NONE:
            self._processing = True


async def show_session_title(slack: SlackClient, thread: Thread, title: str) -> str | None:
    """Shows a chat's title in Slack's list of conversations; returns why that failed, like `try_call_error`."""
    where: dict[str, Any] = {"channel_id": thread.channel, "thread_ts": thread.ts}
    title = session_title(title)
    reason = await slack.try_call_error(RENAME_SESSION, **where, title=title)
    if reason == "session_not_found":  # edited answers open no session
        reason = await slack.try_call_error(
            SET_SESSION_STATUS, **where, status="active", title=title
        )
    if reason is not None and is_direct(thread.channel):
        reason = await slack.try_call_error(SET_ASSISTANT_TITLE, **where, title=title)
    return reason


def session_title(title: str) -> str:
    """The title in a form that fits an agent session."""
    return plain(title, MAX_TITLE_CHARS)


async def suggest_prompts(slack: SlackClient, channel: str) -> None:
    """Suggests questions in an empty pane, at most once per `PROMPTS_INTERVAL`."""
    if slack.at_most_every("prompts", channel, every=PROMPTS_INTERVAL):
        prompts = [
            {"title": title, "message": message}
            for title, message in strings.SUGGESTED_PROMPTS[:MAX_PROMPTS]
        ]
        await slack.try_call(
            SET_SUGGESTED_PROMPTS,
            channel_id=channel,
            prompts=prompts,
            title=strings.SUGGESTED_PROMPTS_TITLE,
        )


async def end_session(slack: SlackClient, thread: Thread) -> str | None:
    """Removes Slack's Stop control from a thread where no answer is being written; returns why that failed."""
    return await slack.try_call_error(
        SET_SESSION_STATUS, channel_id=thread.channel, thread_ts=thread.ts, status="active"
    )
