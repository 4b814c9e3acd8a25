"""Finds, reuses and removes messages of an answer that earlier attempts or lost responses left in the thread.

An answer may be begun by one worker and finished by another, or retried by a user: the messages of the attempt before
are rewritten in order, and those that are not needed any more are deleted. A call whose response was lost, or whose
worker died, may take effect up to `Timing.late_effect` later; so at the end of the answer the thread is searched once
more.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from bot.answers.retry import until_stored
from bot.domain import Answer, MessageRef, Thread
from bot.observability import get_logger
from handlers.answers.draft import Draft
from handlers.answers.options import AnswerOptions
from handlers.client.errors import OutcomeUnknown, SlackRejected
from handlers.client.web_api import SlackClient
from handlers.rate_limits.token_bucket import STOP, UPDATE
from handlers.views import blocks

log = get_logger(__name__)


class MessageRecovery:
    """The messages of one answer that its writer has not posted itself."""

    def __init__(
        self,
        slack: SlackClient,
        thread: Thread,
        answer: Answer,
        options: AnswerOptions,
        draft: Draft,
    ) -> None:
        self._slack = slack
        self._thread = thread
        self._answer = answer
        self._options = options
        self._draft = draft
        self._leftovers: list[str] = []
        """The ts of messages of an earlier attempt that are not rewritten yet, in order."""
        self._last_edit: dict[str, Any] | None = None
        """The last edit of the message that the worker before may have been editing when it died."""
        self._unknown_outcome_at: float | None = None
        """When a call was last made whose message may still appear."""

    @property
    def has_leftovers(self) -> bool:
        return bool(self._leftovers)

    def leftover_refs(self) -> tuple[MessageRef, ...]:
        """The leftovers, in the form in which they are recorded for a later worker."""
        return tuple(MessageRef(ts, streaming=False) for ts in self._leftovers)

    def take_leftover(self) -> str:
        """The first leftover, to be rewritten by the caller."""
        return self._leftovers.pop(0)

    async def take_over(self) -> None:
        """Collects what earlier attempts at this answer have posted, and ends their streams."""
        parts = self._answer.slack_messages
        if self._answer.attempt <= 1:
            return
        if self._answer.taken_over and not (parts and parts[-1].streaming):
            self.note_unknown_outcome()  # the worker before may just have been posting a message
        self._leftovers = [part.ts for part in parts]
        unrecorded = await self._find_unrecorded()
        self._leftovers += unrecorded
        await self._end_streams(*(part.ts for part in parts if part.streaming), *unrecorded)

    def note_unknown_outcome(self) -> None:
        """A call was made whose message may still appear."""
        self._unknown_outcome_at = self._slack.dispatcher.now()

    def note_edit(self, edit: dict[str, Any]) -> None:
        """An edit succeeded; a late edit of the worker before might still overwrite the message."""
        if self._answer.slack_messages and edit["ts"] == self._answer.slack_messages[-1].ts:
            self._last_edit = edit

    async def find_lost_message(self) -> str | None:
        """The message that a call with an unknown outcome has made; None if there is none."""
        return next(reversed(await self._find_unrecorded()), None)

    async def clean_up(self) -> bool:
        """Once the answer is complete: undoes late effects and deletes what is left. Returns whether it deleted any."""
        await self._undo_late_effects()
        for ts in self._leftovers:
            await self._slack.try_call("chat.delete", channel=self._thread.channel, ts=ts)
        deleted = bool(self._leftovers)
        self._leftovers = []
        return deleted

    async def _undo_late_effects(self) -> None:
        """Waits until no earlier call can take effect any more; then collects its message and repeats the last edit."""
        if self._unknown_outcome_at is None:
            return
        settled_at = self._unknown_outcome_at + self._slack.timing.late_effect
        await asyncio.sleep(max(0.0, settled_at - self._slack.dispatcher.now()))
        late = await self._find_unrecorded()
        await self._end_streams(*late)
        self._leftovers += late
        if self._last_edit is not None:
            await self._slack.try_call(UPDATE, **self._last_edit)

    async def _end_streams(self, *stamps: str) -> None:
        for ts in stamps:
            with contextlib.suppress(SlackRejected, OutcomeUnknown):
                await self._slack.call_with_retry(STOP, channel=self._thread.channel, ts=ts)

    async def _find_unrecorded(self) -> list[str]:
        """The bot's messages in this thread, younger than the question, that belong to nothing that is recorded."""
        after = self._answer.question_ts or self._thread.ts
        recorded = {part.ts for part in (*self._draft.message_refs(), *self._answer.slack_messages)}
        recorded |= set(self._leftovers)
        try:
            found = await self._slack.own_messages(self._thread.channel, self._thread.ts, after)
        except (SlackRejected, OutcomeUnknown) as error:
            log.warning("thread_not_readable", answer=self._answer.id, reason=str(error))
            return []
        # Without these, another answer's message would be taken for one of this answer.
        recorded |= await until_stored(self._options.find_other_messages, self._answer.id)
        return [
            m["ts"] for m in found if m["ts"] not in recorded and not blocks.is_service_message(m)
        ]
