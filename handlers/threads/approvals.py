"""Posts the messages that ask about tool calls, and keeps them up to date.

Asking and showing a decision are two chores: whatever happens to the second, the next question is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.answers.after_work import DONE, FAILED, ChoreJob, ChoreOutcome, ChoreResult
from bot.domain import Chat, Thread, User
from bot.domain.chores import Chore
from bot.domain.tool_calls import CallState, StoredCall
from bot.observability import get_logger
from handlers.client.errors import INVALID_TOKEN_CODES, MESSAGE_LOST_CODES, SlackRejected
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.rate_limits.urgency import Urgency
from handlers.threads.own_messages import find_own
from handlers.views import approval
from storage.chores import Chores
from storage.tool_calls import ToolCalls

log = get_logger(__name__)

_SHOWN_ALIKE = {CallState.CALLING: CallState.READY}


def _waits(call: StoredCall) -> bool:
    return call.state is CallState.ASKED


def _is_being_posted(call: StoredCall) -> bool:
    """Or a post of the message that asks about it was not confirmed."""
    return call.message_ts is None and call.shown_state is CallState.ASKED


class Approvals:
    """The messages of all approvals."""

    def __init__(self, calls: ToolCalls, chores: Chores, names: UserNames) -> None:
        self._calls = calls
        self._chores = chores
        self._names = names

    async def show_questions(
        self, slack: SlackClient, thread: Thread, job: ChoreJob
    ) -> ChoreResult:
        """Does `Chore.SHOW_APPROVALS`: one message for each call that waits for a decision. Raises SlackError."""
        asked = [call for call in await self._unshown(job.answer.id) if _waits(call)]
        result = await self._show_all(slack, thread, job.chat, asked)
        if result is FAILED or all(map(_waits, await self._unshown(job.answer.id))):
            return result
        return ChoreResult(ChoreOutcome.DONE, then=(Chore.SHOW_DECISIONS,))

    async def show_outcomes(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        """Does `Chore.SHOW_DECISIONS`: shows the outcome of the other calls. Raises SlackError.

        A message that is just being posted is left to the process that posts it, which then gets here too.
        """
        others = [call for call in await self._unshown(job.answer.id) if not _waits(call)]
        if await self._chores.is_left(job.answer.id, Chore.SHOW_APPROVALS):
            others = [call for call in others if not _is_being_posted(call)]
        return await self._show_all(slack, thread, job.chat, others)

    async def _unshown(self, answer_id: str) -> list[StoredCall]:
        """Calls whose messages are missing or outdated, with the content to show."""
        calls = await self._calls.of_answer(answer_id)
        alike = [replace(each, state=_SHOWN_ALIKE.get(each.state, each.state)) for each in calls]
        return [
            call
            for call in alike
            if not call.shows(call.state) and (call.asked or call.state is CallState.UNKNOWN)
        ]

    async def _show_all(
        self, slack: SlackClient, thread: Thread, chat: Chat, calls: Sequence[StoredCall]
    ) -> ChoreResult:
        tried = [await self._tried(slack, thread, call, chat) for call in calls]
        return DONE if all(tried) else FAILED

    async def _tried(
        self, slack: SlackClient, thread: Thread, call: StoredCall, chat: Chat
    ) -> bool:
        """Whether nothing is left to do. If Slack permanently refuses the question, the answer continues without it."""
        try:
            await self._show(slack, thread, call, chat)
        except SlackRejected as error:
            if error.code in INVALID_TOKEN_CODES:
                return False
            log.info("approval_refused", reason=str(error))
            await self._calls.refuse(call)
        return True

    async def _show(self, slack: SlackClient, thread: Thread, call: StoredCall, chat: Chat) -> None:
        async with self._names.using_language_of(User(chat.team, call.asker or chat.owner)):
            content = approval.approval(call)
            text = approval.fallback(call)
        ts = call.message_ts
        if ts is None and call.shown_state is not None:  # an earlier attempt may have posted it
            ts = await find_own(slack, thread, approval.block_id(call))
        if ts is not None:
            try:
                await slack.call_with_retry(
                    "chat.update", channel=thread.channel, ts=ts, blocks=content, text=text
                )
            except SlackRejected as error:
                if error.code not in MESSAGE_LOST_CODES or call.state is not CallState.ASKED:
                    raise
                ts = None  # somebody has deleted it, but the asker still has to be asked
        if ts is None:
            await self._calls.note_shown(call, None, call.state)
            ts = await post_message_once(
                slack,
                lambda: find_own(slack, thread, approval.block_id(call)),
                retry_limit=0.0,
                urgency=Urgency.ANSWER,
                channel=thread.channel,
                thread_ts=thread.ts,
                blocks=content,
                text=text,
            )
        await self._calls.note_shown(call, ts, call.state)
