"""Whether somebody may see and use a chat: one answer for every entry point to existing chats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot.access.membership import Membership
from bot.access.rules import AccessRules
from bot.domain import Chat, User
from bot.errors import PlaceNotAllowed
from storage.chats import Chats
from storage.statements.chat_list import ChatPage


class ChatAccess:
    """Combines participation, membership in private channels, and the operator's rules about channels."""

    def __init__(self, chats: Chats, rules: AccessRules, membership: Membership) -> None:
        self._chats = chats
        self._rules = rules
        self._membership = membership

    async def find(self, user: User, chat_id: str) -> Chat:
        """Returns the chat if the user may see it. Raises ChatNotFound, PlaceNotAllowed, StorageError."""
        chat = await self._chats.get_visible_to(user, chat_id)
        if not self._rules.allows_channel(user.team, chat.thread.channel if chat.thread else ""):
            raise PlaceNotAllowed(chat_id)
        if await self._membership.confirm(user, [chat]):
            return await self._chats.get_visible_to(user, chat_id)
        return chat

    async def listed(self, user: User, load: Callable[[], Awaitable[ChatPage]]) -> ChatPage:
        """The page that `load` reads, without chats in channels that the user turns out to have left."""
        page = await load()
        return await load() if await self._membership.confirm(user, page.chats) else page
