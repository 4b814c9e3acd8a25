"""People's decisions about tool calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.answers.events import EventPublisher
from bot.answers.tool_call_steps import record_call
from bot.domain import Chat, Message, User
from bot.domain.tool_calls import CallState, Decision, StoredCall
from bot.errors import AlreadyDecided, ChatNotFound, NotTheAsker
from storage.tool_calls import Decided, ToolCalls


class ApprovalService:
    """Only the asker decides, once; the process that receives the decision continues the answer."""

    def __init__(
        self,
        calls: ToolCalls,
        publisher: EventPublisher,
        wake: Callable[[str], None],
        show: Callable[[str], object],
    ) -> None:
        """`wake`: called with the id of a chat whose answer continues. `show`: called with the id of the answer."""
        self.stored = calls
        """For reading: the current state of each call."""
        self._publisher = publisher
        self._wake = wake
        self._show = show

    async def decide(
        self, approval: str, user: User, decision: Decision, chat_id: str | None = None
    ) -> Decided | None:
        """Records the user's decision. None: no such call in the user's workspace, or in this chat. Raises
        StorageError.
        """
        decided = await self.stored.decide(approval, user.team, user.id, decision, chat_id)
        if decided is not None and decided.accepted:
            self._publisher.approval_changed(user.team, decided.chat_id, decided.call)
            if decided.call.state.ended:
                record_call(user.team, decided.chat_id, decided.call)
            self._wake(decided.chat_id)
            self._show(decided.call.answer_id)
        return decided

    async def decide_in(
        self, chat: Chat, approval: str, user: User, decision: Decision
    ) -> StoredCall:
        """Returns the call after the user's decision.

        Raises ChatNotFound when the chat has no such call, NotTheAsker, AlreadyDecided, StorageError.
        """
        decided = await self.decide(approval, user, decision, chat.id)
        if decided is None:
            raise ChatNotFound("no such approval")
        call = decided.call
        waits = call.state is CallState.ASKED and not call.overdue and not call.stopped
        if not decided.accepted and waits:
            raise NotTheAsker(decided.call.id)
        if not decided.accepted:
            raise AlreadyDecided(decided.call.id)
        return decided.call

    async def waiting(self, chat: Chat, messages: Sequence[Message]) -> list[StoredCall]:
        """The calls that wait for a decision. `messages`: all messages of the chat."""
        if all(message.status.ended for message in messages):
            return []
        return await self.stored.asked(chat.id)

    async def is_known(self, approval: str) -> bool:
        """Whether there is such a call, in any workspace and however its tool is defined now."""
        return await self.stored.get(approval.partition("-")[0]) is not None
