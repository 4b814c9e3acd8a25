"""The line "Bobbin is thinking…" below a thread and the thread's agent session, while an answer is being written."""

from __future__ import annotations

import asyncio
import contextlib

from bot import strings
from bot.domain import Chore
from handlers.client.web_api import SlackClient
from handlers.threads.agent_session import AgentSession, Effect, call_briefly

SET_STATUS = "assistant.threads.setStatus"


class ThinkingStatus:
    """The status of one thread. It is a convenience: no failure of it affects the answer.

    Slack clears a status when the bot posts to the thread, and by itself after two minutes.
    """

    def __init__(
        self, slack: SlackClient, channel: str, thread: str, *, continued: bool = False
    ) -> None:
        """`continued`: an earlier attempt at this answer may have left a status or a session behind."""
        self._slack = slack
        self._channel = channel
        self._thread = thread
        self._session = AgentSession(slack, channel, thread, may_be_processing=continued)
        self._task: asyncio.Task[None] | None = None
        self._may_be_shown = continued
        self._may_come_late = False
        """A call without a response may show it even after the message that clears it."""
        self._calling = False
        self._renewing = True

    def start(self) -> None:
        """Shows the status and renews it until the answer is visible."""
        self._task = asyncio.create_task(self._keep_shown())
        self._session.start()

    def stream_started(self) -> None:
        """A native stream has begun, and Slack's session with it."""
        self._session.stream_started()

    def stream_stopped(self) -> None:
        """A native stream has ended, and Slack's session with it."""
        self._session.stream_stopped()

    def message_posted(self) -> None:
        """A new message appeared: Slack clears the status itself, unless a renewal is under way."""
        self._may_be_shown = self._calling
        self.message_edited()

    def message_edited(self) -> None:
        """Text is visible in an older message, so the status need not be renewed."""
        if self._task is not None and not self._calling:
            self._task.cancel()
        self._renewing = False

    async def end(self) -> dict[Chore, float]:
        """The answer is complete: what must be done so that neither status nor session stays behind. Makes no call.

        With the seconds until it can be done: once no call can take effect any more.
        """
        await self.stop_renewing()
        chores: dict[Chore, float] = {}
        if self._may_be_shown or self._may_come_late:
            chores[Chore.CLEAR_STATUS] = self._delay(self._may_come_late)
        if self._session.processing or self._session.may_come_late:
            chores[Chore.END_SESSION] = self._delay(self._session.may_come_late)
        return chores

    def _delay(self, may_come_late: bool) -> float:
        return self._slack.timing.late_effect if may_come_late else 0.0

    async def stop_renewing(self) -> None:
        """Leaves the status as it is, for another worker to continue."""
        await self._session.detach()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_shown(self) -> None:
        while self._renewing:
            if await self._show() is Effect.NONE:
                return
            await self._session.renew()
            await asyncio.sleep(self._slack.timing.status_refresh_interval)

    async def _show(self) -> Effect:
        self._calling = self._may_be_shown = True
        try:
            effect = await call_briefly(
                self._slack,
                SET_STATUS,
                channel_id=self._channel,
                thread_ts=self._thread,
                status=strings.THINKING,
            )
        finally:
            self._calling = False
        self._may_be_shown = effect is not Effect.NONE
        self._may_come_late = self._may_come_late or effect is Effect.UNKNOWN
        return effect
