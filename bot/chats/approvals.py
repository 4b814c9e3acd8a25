"""What people decide about calls of tools."""

from __future__ import annotations

from collections.abc import Callable

from bot.domain import User
from bot.tool_calls import Decision
from storage.tool_calls import Decided, ToolCalls


class ApprovalService:
    """Only whoever asked the question decides, once; in whichever process the press arrives, that one goes on."""

    def __init__(
        self, calls: ToolCalls, wake: Callable[[str], None], show: Callable[[str], object]
    ) -> None:
        """`wake`: is called with the id of a chat whose answer goes on. `show`: with the id of the answer."""
        self._calls = calls
        self._wake = wake
        self._show = show

    async def decide(self, approval: str, user: User, decision: Decision) -> Decided | None:
        """None: there is no such call in the user's workspace. Raises StorageError."""
        decided = await self._calls.decide(approval, user.team, user.id, decision)
        if decided is not None and decided.accepted:
            self._wake(decided.chat_id)
            self._show(decided.call.answer_id)
        return decided
