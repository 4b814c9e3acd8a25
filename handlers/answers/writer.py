"""Shows one answer in Slack while it is written: asks the scheduler when to write, writes, and survives failures.

The parts: `draft` holds the text, `page` the state of each Slack message, `page_writer` moves it on by `page_calls`,
`message_recovery` deals with messages of earlier attempts, `rendering` builds the arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto

from bot import strings
from bot.answers.sink import AnswerControl
from bot.domain import Answer, AnswerResult, Chat, Status
from bot.domain.chores import Chore
from bot.domain.steps import Step
from bot.languages.language import using_language
from bot.observability import get_logger
from handlers.answers.options import AnswerOptions
from handlers.answers.page_writer import PageWriter
from handlers.answers.thinking_status import ThinkingStatus
from handlers.client.errors import (
    ConnectFailed,
    OutcomeUnknown,
    RateLimited,
    SlackError,
    SlackRejected,
)
from handlers.client.web_api import SlackClient

log = get_logger(__name__)

_MIN_CONNECT_RETRY_DELAY = 0.3
_MAX_CONNECT_RETRY_DELAY = 5.0
"""The longest pause between two attempts while Slack cannot be reached, in seconds; the pause grows with the outage."""


class _Stage(Enum):
    """How far the task is that writes.

    WAITING ─▶ READY ◀─▶ WRITING
       └─────────┴───────────┴──▶ LEAVING
    """

    WAITING = auto()
    """Until what comes before the answer is visible."""
    READY = auto()
    """Until its next call is granted."""
    WRITING = auto()
    """Until the call is done."""
    LEAVING = auto()
    """It makes no further call."""


class AnswerWriter:
    """The `AnswerSink` of a chat in a Slack thread. Only its task touches the answer's messages."""

    def __init__(
        self,
        slack: SlackClient,
        chat: Chat,
        answer: Answer,
        control: AnswerControl,
        options: AnswerOptions,
    ) -> None:
        assert chat.thread is not None
        self._slack = slack
        self._thread = chat.thread
        self._chat = chat
        self._answer = answer
        self._control = control
        self._options = options
        self._status = ThinkingStatus(
            slack, chat.thread.channel, chat.thread.ts, continued=answer.attempt > 1
        )
        self._restart: asyncio.Task[None] | None = None
        """Takes back what has been written."""
        self._written_meanwhile: list[str] = []
        self._steps: dict[int, Step] = {}
        """The newest state of each, by number."""
        self._earlier_chores: dict[Chore, float] = {}
        """What the writing that was taken back, or was refused, has left to do."""
        self._use_pages(answer)
        self._failing_since: float | None = None
        """When the first of the failures in a row happened, in seconds of the dispatcher's clock."""
        self._stage = _Stage.WAITING
        self._wrote = asyncio.Event()
        """Set after each write, and when there will be no other."""
        self._task: asyncio.Task[None] | None = None

    # -- the sink ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        with using_language(self._options.language):
            self._status.start()
            self._start_writing()

    def _start_writing(self) -> None:
        self._stage = _Stage.WAITING
        self._task = asyncio.create_task(self._run(), name=f"answer {self._answer.id}")

    def write(self, text: str) -> None:
        if self._restart is not None:
            self._written_meanwhile.append(text)
            return
        now = self._slack.dispatcher.now()
        self._pending.text_received(now, len(text))
        if self._draft.append(text) and self._pending.waiting_since is None:
            self._pages.text_arrived(now)
            self._slack.dispatcher.wake()

    def step(self, step: Step) -> None:
        self._steps[step.number] = step
        self._pages.cards.step(step)
        self._status.step(step)

    def restart(self) -> None:
        self._written_meanwhile.clear()
        if self._draft.received_any and self._restart is None:
            with using_language(self._options.language):
                self._restart = asyncio.create_task(self._begin_anew(), name="answer begun anew")

    async def close(self, result: AnswerResult) -> Mapping[Chore, float]:
        await self._until_restarted()
        for step in result.steps:
            self._pages.cards.step(step)
        if not self._draft.received_any and result.text:
            self.write(result.text)
        with using_language(self._options.language):
            self._draft.finish(_closing_line(result))
        self._pages.result = result
        self._status.text_ended()
        self._pending.text_ended(self._slack.dispatcher.now())
        self._slack.dispatcher.wake()
        assert self._task is not None
        await asyncio.shield(self._task)
        signs = await self._status.end()
        return self._earlier_chores | self._pages.chores() | signs

    async def settle(self) -> None:
        await self._until_restarted()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._slack.timing.last_write_timeout):
                await self._until_caught_up()
                self._pages.pause(self._slack.dispatcher.now())
                self._slack.dispatcher.wake()
                await self._until_caught_up()

    async def _until_caught_up(self) -> None:
        while self._is_behind():
            self._wrote.clear()
            await self._wrote.wait()

    def _is_behind(self) -> bool:
        """Whether text has arrived that is not visible yet, and could become visible."""
        if self._task is None or self._task.done():
            return False
        return self._stage is _Stage.WRITING or self._pending.waiting_since is not None

    async def abandon(self) -> Mapping[Chore, float]:
        await self._until_restarted()
        await self._end_task()
        return await self._status.end()

    async def _end_task(self) -> None:
        """Ends the task that writes, and leaves what is shown as it is."""
        if self._task is not None:
            had_turn, self._stage = self._stage is not _Stage.WAITING, _Stage.LEAVING
            if had_turn and self._pending.busy and not self._pages.is_complete:
                # The call in progress ends first: the next worker must know the message that it creates.
                timeout = self._slack.timing.last_write_timeout
                await asyncio.wait([self._task], timeout=timeout)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    # -- starting over -----------------------------------------------------------------------------------------

    def _use_pages(self, answer: Answer) -> None:
        self._pages = PageWriter(
            slack=self._slack,
            chat=self._chat,
            thread=self._thread,
            answer=answer,
            control=self._control,
            options=self._options,
            status=self._status,
        )
        for step in self._steps.values():
            self._pages.cards.step(step)
        self._draft = self._pages.draft
        self._pending = self._pages.pending

    async def _begin_anew(self) -> None:
        """Writes the answer as another attempt would: into the same messages, with other text."""
        try:
            await self._end_task()
            shown = self._pages.all_messages() or self._answer.slack_messages
            self._earlier_chores |= self._pages.chores()
            attempt = self._answer.attempt + 1
            self._use_pages(replace(self._answer, attempt=attempt, slack_messages=shown))
            self._start_writing()
        finally:
            self._restart = None
        for text in self._written_meanwhile:
            self.write(text)

    async def _until_restarted(self) -> None:
        if self._restart is not None:
            await asyncio.wait([self._restart])

    # -- the task ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._control.wait_for_turn()
            await self._pages.take_over()
            self._slack.dispatcher.join(self._pending)
            self._enter(_Stage.READY)
            while not self._pages.is_complete:
                if self._stage is _Stage.LEAVING:
                    return
                self._pages.plan(self._slack.dispatcher.now())
                method = await self._slack.dispatcher.acquire_write(self._pending)
                self._enter(_Stage.WRITING)
                await self._write_once(method)
                self._enter(_Stage.READY)
                self._wrote.set()
            self._control.note_final_messages(self._pages.final_messages())
        except SlackError as error:
            self._give_up(error)
        finally:
            self._slack.dispatcher.leave(self._pending)
            self._wrote.set()

    def _enter(self, stage: _Stage) -> None:
        """A writer that is leaving stays so until it starts again."""
        if self._stage is not _Stage.LEAVING:
            self._stage = stage

    async def _write_once(self, method: str) -> None:
        waiting_since, self._pending.waiting_since = self._pending.waiting_since, None
        try:
            visible = await self._pages.write(method)
        except SlackError as error:
            self._keep_waiting(waiting_since)
            await self._on_failure(method, error)
            return
        if not visible:
            self._keep_waiting(waiting_since)
            return
        self._failing_since = None
        if waiting_since is not None:
            self._slack.metrics.observe_lag(self._slack.dispatcher.now() - waiting_since)
        if self._pending.waiting_since is None and self._pages.more_to_show():
            self._pending.waiting_since = self._slack.dispatcher.now()

    def _keep_waiting(self, since: float | None) -> None:
        """The text that was to be written is not visible yet; text that has arrived since then is newer."""
        if since is not None:
            self._pending.waiting_since = since

    async def _on_failure(self, method: str, error: SlackError) -> None:
        if isinstance(error, RateLimited):
            return
        now = self._slack.dispatcher.now()
        if self._failing_since is None:
            self._failing_since = now
        failing_for = now - self._failing_since
        if failing_for > self._slack.timing.write_retry_limit:
            raise error
        if isinstance(error, SlackRejected):
            self._pages.on_rejected(method, error)
        elif isinstance(error, OutcomeUnknown):
            await self._pages.on_unknown_outcome()
        elif isinstance(error, ConnectFailed):
            delay = _MIN_CONNECT_RETRY_DELAY + failing_for / 2
            await asyncio.sleep(min(_MAX_CONNECT_RETRY_DELAY, delay))

    def _give_up(self, error: SlackError) -> None:
        """Text that could not be shown stays in the database; the asker is told why, if that helps."""
        log.warning(
            "answer_not_shown",
            chat=self._answer.chat_id,
            answer=self._answer.id,
            reason=str(error),
        )
        if isinstance(error, SlackRejected):
            self._control.note_refusal(error.code)
            self._earlier_chores[Chore.NOTIFY_REFUSED] = 0.0


def _closing_line(result: AnswerResult) -> str:
    """The bot's own text below the answer, or in its place."""
    if result.status is Status.STOPPED:
        return strings.STOPPED_MARK
    if result.pictures and not result.text:
        return strings.PICTURES_MADE.format(count=result.pictures)
    return ""
