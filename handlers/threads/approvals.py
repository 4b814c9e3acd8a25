"""Posts the messages that ask about tool calls, and keeps them true."""

from __future__ import annotations

from dataclasses import replace

from bot.answers.after_work import DONE, FAILED, ChoreJob, ChoreResult
from bot.domain import Chat, Thread, User
from bot.observability import get_logger
from bot.tool_calls import CallState, StoredCall
from handlers.client.errors import INVALID_TOKEN_CODES, MESSAGE_LOST_CODES, SlackRejected
from handlers.client.post_once import post_message_once
from handlers.client.user_names import UserNames
from handlers.client.web_api import SlackClient
from handlers.rate_limits.urgency import Urgency
from handlers.threads.own_messages import find_own
from handlers.views import approval
from storage.tool_calls import ToolCalls

log = get_logger(__name__)

_SHOWN_ALIKE = {CallState.CALLING: CallState.READY}


class Approvals:
    """The messages of all approvals."""

    def __init__(self, calls: ToolCalls, names: UserNames) -> None:
        self._calls = calls
        self._names = names

    async def show(self, slack: SlackClient, thread: Thread, job: ChoreJob) -> ChoreResult:
        """Does `Chore.SHOW_APPROVALS`: one message for each call that somebody has to know of. Raises SlackError."""
        result = DONE
        for call in await self._calls.of_answer(job.answer.id):
            state = _SHOWN_ALIKE.get(call.state, call.state)
            if call.shows(state) or not (call.asked or state is CallState.UNKNOWN):
                continue
            if not await self._tried(slack, thread, replace(call, state=state), job.chat):
                result = FAILED
        return result

    async def _tried(
        self, slack: SlackClient, thread: Thread, call: StoredCall, chat: Chat
    ) -> bool:
        """Whether nothing is left to do. Where Slack refuses the question for good, the answer goes on without."""
        try:
            await self._show(slack, thread, call, chat)
        except SlackRejected as error:
            if error.code in INVALID_TOKEN_CODES:
                return False
            log.info("approval_refused", reason=str(error))
            await self._calls.refuse(call)
        return True

    async def _show(self, slack: SlackClient, thread: Thread, call: StoredCall, chat: Chat) -> None:
        async with self._names.speaking_to(User(chat.team, call.asker or chat.owner)):
            content = approval.approval(call)
            text = approval.fallback(call)
        ts = call.message_ts
        if ts is None and call.shown_state is not None:  # an earlier try may have posted it
            ts = await find_own(slack, thread, approval.block_id(call))
        if ts is not None:
            try:
                await slack.call_with_retry(
                    "chat.update", channel=thread.channel, ts=ts, blocks=content, text=text
                )
            except SlackRejected as error:
                if error.code not in MESSAGE_LOST_CODES or call.state is not CallState.ASKED:
                    raise
                ts = None  # somebody has deleted it, and has to be asked all the same
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
