"""Messages of an answer that earlier attempts or lost responses left in the thread: found, reused or removed.

An answer may be begun by one worker and finished by another, or retried by a user: the messages of the previous attempt
are rewritten in order, and those that are no longer needed are deleted. A call whose response was lost, or whose worker
died, may take effect up to `Timing.late_effect` later, so the thread is searched once more after that. The writer only
does the rewriting: the rest is left to chores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bot.answers.storage_retry import until_stored
from bot.domain import Answer, MessageRef, Thread
from bot.domain.chores import Chore
from bot.observability import get_logger
from handlers.answers.draft import Draft
from handlers.answers.options import AnswerOptions
from handlers.client.errors import SlackError
from handlers.client.web_api import RETRY_LIMIT, SlackClient
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
        self._leftovers: list[MessageRef] = []
        """The messages of an earlier attempt that are not rewritten yet, in order."""
        self._discarded: list[MessageRef] = []
        """Messages that must not stay beside those that replaced them."""
        self._settled_at: float | None = slack.dispatcher.now() if answer.resumed else None
        """From when on no lost call can take effect any more; None: none is lost."""
        if answer.taken_over:
            self.note_unknown_outcome()

    @property
    def has_leftovers(self) -> bool:
        return bool(self._leftovers)

    @property
    def next_is_stream(self) -> bool:
        """Whether the first leftover is an open native stream, which must be ended before it can be rewritten."""
        return bool(self._leftovers) and self._leftovers[0].streaming

    def recorded(self) -> tuple[MessageRef, ...]:
        """The messages to record for a later worker, besides those of the draft."""
        return (*self._leftovers, *self._discarded)

    def final(self) -> tuple[MessageRef, ...]:
        """The messages to record once the answer is complete."""
        return tuple(replace(part, leftover=True) for part in self.recorded())

    def take_leftover(self) -> MessageRef:
        """The first leftover, to be rewritten by the caller."""
        return self._leftovers.pop(0)

    def discard(self, ts: str) -> None:
        """This message was given up; if it exists after all, it is deleted."""
        self._discarded.append(MessageRef(ts, streaming=False))

    async def take_over(self) -> None:
        """Collects what earlier attempts at this answer have posted.

        The thread is searched only if nothing is recorded, and only briefly: if the previous worker's message is
        missed, it is found and deleted later.
        """
        if self._answer.attempt <= 1:
            return
        self._leftovers = list(self._answer.slack_messages)
        if self._answer.resumed and not self._leftovers:
            try:
                async with asyncio.timeout(self._slack.timing.stray_timeout):
                    found = await self._find_unrecorded()
            except TimeoutError:
                return
            self._leftovers = [MessageRef(ts, streaming=True) for ts in found]

    def note_unknown_outcome(self) -> None:
        """A call was made whose message may still appear."""
        self._settled_at = self._slack.dispatcher.now() + self._slack.timing.late_effect

    async def find_lost_message(self) -> str | None:
        """The message created by a call with an unknown outcome; None if there is none."""
        return next(reversed(await self._find_unrecorded()), None)

    def chores(self) -> dict[Chore, float]:
        """What is left to do once the answer is complete, with the seconds until each chore is due."""
        left: dict[Chore, float] = {}
        if self.recorded():
            left[Chore.DELETE_LEFTOVERS] = 0.0
        if self._settled_at is not None:
            delay = max(0.0, self._settled_at - self._slack.dispatcher.now())
            left[Chore.FIND_STRAYS] = delay
            if self._may_be_overwritten():
                left[Chore.WRITE_AGAIN] = delay
        return left

    def _may_be_overwritten(self) -> bool:
        """Whether the previous worker may have been editing a message when it lost the answer."""
        parts = self._answer.slack_messages
        return self._answer.taken_over and bool(parts) and not parts[-1].streaming

    async def _find_unrecorded(self) -> list[str]:
        known = {part.ts for part in (*self._draft.message_refs(), *self._answer.slack_messages)}
        known |= {part.ts for part in self.recorded()}
        try:
            own = await own_messages(
                self._slack, self._thread, self._answer, max_wait=self._slack.timing.search_timeout
            )
        except SlackError as error:
            log.warning("thread_not_readable", answer=self._answer.id, reason=str(error))
            return []
        # Without excluding these, another answer's message would be taken for one of this answer.
        known |= await until_stored(self._options.find_other_messages, self._answer.id)
        return [ts for ts in answers_among(own) if ts not in known]


async def own_messages(
    slack: SlackClient, thread: Thread, answer: Answer, max_wait: float = RETRY_LIMIT
) -> list[dict[str, Any]]:
    """The bot's messages in this thread that are newer than the answer's question. Raises SlackError.

    `max_wait`: how many seconds Slack may take to return them.
    """
    after = answer.question_ts or thread.ts
    return await slack.own_messages(thread.channel, thread.ts, after, max_wait=max_wait)


def answers_among(messages: Iterable[dict[str, Any]]) -> list[str]:
    """The ts of those that show answers."""
    return [
        str(each["ts"])
        for each in messages
        if not (blocks.is_service_message(each) or blocks.shows_files(each))
    ]
