"""The line "Bobbin is thinking…" below a thread and the thread's agent session, while an answer is being written.

While steps are running, the line names the one that began last. Once text is visible, there is a line only for steps.
"""

from __future__ import annotations

import asyncio
import contextlib

from bot import strings
from bot.chats.step_texts import activity
from bot.domain.chores import Chore
from bot.domain.steps import Step
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import plain
from handlers.threads.agent_session import AgentSession
from handlers.threads.brief_calls import BriefCalls, Effect

SET_STATUS = "assistant.threads.setStatus"
MAX_STATUS_LENGTH = 100


class ThinkingStatus:
    """The status of one thread. It is only a convenience: its failures do not affect the answer.

    Slack clears a status when the bot posts to the thread, and after two minutes.
    """

    def __init__(
        self, slack: SlackClient, channel: str, thread: str, *, continued: bool = False
    ) -> None:
        """`continued`: an earlier attempt at this answer may have left a status or a session behind."""
        self._slack = slack
        self._channel = channel
        self._calls = BriefCalls(slack, SET_STATUS, channel_id=channel, thread_ts=thread)
        self._session = AgentSession(slack, channel, thread, may_be_processing=continued)
        self._task: asyncio.Task[None] | None = None
        self._may_be_shown = continued
        self._calling = False
        self._renewed = False
        """Whether a call has been in progress since the last message began to be posted."""
        self._text_is_complete = False
        self._text_is_visible = False
        self._steps: dict[int, tuple[Step, float]] = {}
        """Those in progress, by number, each with the dispatcher's time at which it was first reported."""
        self._changed = asyncio.Event()
        """Set when the line may have to say something else."""
        self._shown = ""
        """What the line said last; empty when it is not there."""
        self._shown_at = float("-inf")
        self._shown_beside_text = False
        """Slack does not clear it by itself."""
        self._refused = False

    def start(self) -> None:
        """Shows the status and renews it until the answer is visible."""
        self._task = asyncio.create_task(self._keep_shown())
        self._session.start()

    def stream_started(self) -> None:
        """A native stream has begun, and with it Slack's session."""
        self._session.stream_started()

    def stream_stopped(self) -> None:
        """A native stream has ended, and with it Slack's session."""
        self._session.stream_stopped()

    def step(self, step: Step) -> None:
        """A step has begun, changed or ended."""
        if not step.status.ended:
            _, since = self._steps.get(step.number, (step, self._slack.dispatcher.now()))
            self._steps[step.number] = (step, since)
        elif self._steps.pop(step.number, None) is None or not self._text_is_visible:
            return  # text may follow immediately, and its message clears the line
        self._changed.set()
        if self._task is not None and self._task.done() and self._is_needed():
            self._task = asyncio.create_task(self._keep_shown())

    def message_being_posted(self) -> None:
        """A call that posts a message is about to be made."""
        self._renewed = self._calling

    def message_posted(self) -> None:
        """A new message has appeared: Slack clears the status itself, unless it was renewed during the call."""
        self._may_be_shown = self._calling or (self._renewed and self._may_be_shown)
        if not self._may_be_shown:
            self._shown, self._shown_beside_text = "", False
        self.message_edited()

    def message_edited(self) -> None:
        """Text is visible in an older message, so the status need not be renewed unless a step is running."""
        self._text_is_visible = True
        self._changed.set()

    def text_ended(self) -> None:
        """All text has arrived. A call that is on its way may still have its response while the rest is shown."""
        self._text_is_complete = True
        self._session.text_ended()
        self._changed.set()

    async def end(self) -> dict[Chore, float]:
        """The answer is complete: returns the chores that remove status and session. Makes no call.

        With the seconds until each can be done: when no earlier call can still take effect.
        """
        self.text_ended()
        await self._until_responded()
        await self._stop_renewing()
        chores: dict[Chore, float] = {}
        if self._may_be_shown or self._calls.may_have_effect:
            chores[Chore.CLEAR_STATUS] = self._delay(self._calls)
        if self._session.is_left:
            chores[Chore.END_SESSION] = self._delay(self._session.calls)
        return chores

    def _delay(self, calls: BriefCalls) -> float:
        return self._slack.timing.late_effect if calls.may_come_late else 0.0

    async def _until_responded(self) -> None:
        """Waits a moment for calls on their way, which are then known to be over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._slack.timing.status_end_timeout):
                await self._calls.until_responded()
                await self._session.calls.until_responded()

    async def _stop_renewing(self) -> None:
        """Leaves the status as it is, for another worker or after-work."""
        await self._session.detach()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_shown(self) -> None:
        while self._is_needed():
            self._changed.clear()
            text = self._text()
            if self._is_old() or (text != self._shown and not self._is_scarce()):
                if await self._show(text) is Effect.NONE:
                    self._refused = True
                    return
                if text:
                    await self._session.renew()
            await self._until_changed()

    def _is_needed(self) -> bool:
        """Once the text is complete, only until it is visible: what the line says then is removed at the end."""
        beside_text = not self._text_is_complete and (self._steps or self._shown_beside_text)
        return not self._refused and bool(beside_text or not self._text_is_visible)

    def _text(self) -> str:
        """The text of the line; empty for none."""
        if self._steps:
            step, since = self._steps[max(self._steps)]
            seconds = self._slack.dispatcher.now() - since
            return plain(activity(step, seconds), MAX_STATUS_LENGTH)
        return "" if self._text_is_visible else strings.THINKING

    def _is_old(self) -> bool:
        """Whether Slack is about to clear it."""
        age = self._slack.dispatcher.now() - self._shown_at
        return age >= self._slack.timing.status_refresh_interval

    def _is_scarce(self) -> bool:
        """Whether the rest of the rate limit is reserved for answers without a status line."""
        dispatcher = self._slack.dispatcher
        left = dispatcher.available(SET_STATUS, self._channel)
        return bool(self._shown) and left < dispatcher.burst(SET_STATUS) / 2

    async def _until_changed(self) -> None:
        timing = self._slack.timing
        changes = self._steps or self._shown not in ("", strings.THINKING)
        pause = timing.status_step_interval if changes else timing.status_refresh_interval
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._changed.wait()

    async def _show(self, text: str) -> Effect:
        self._calling = self._renewed = True
        self._may_be_shown = self._may_be_shown or bool(text)
        beside_text = self._text_is_visible
        try:
            effect = await self._calls.make(status=text)
        finally:
            self._calling = False
        self._shown, self._shown_at = text, self._slack.dispatcher.now()
        self._shown_beside_text = beside_text and bool(text)
        self._may_be_shown = effect is not Effect.NONE and (bool(text) or effect is Effect.UNKNOWN)
        return effect
