"""A person's chats as blocks: the same list for the command and for the Home tab."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bot import strings
from bot.chats.service import CHATS_PAGE_SIZE, ChatService
from bot.domain import Chat, User
from bot.errors import InvalidInput
from handlers.client.web_api import SlackClient
from handlers.markdown.text import mrkdwn_escape
from handlers.views import chat_list as views
from handlers.views.chat_list import CHATS_PAGE_ACTION, ChatListView, ListQuery
from storage.chats import ChatPage


async def chat_list(
    service: ChatService,
    slack: SlackClient,
    user: str,
    look: ListQuery,
    action: str = CHATS_PAGE_ACTION,
) -> ChatListView:
    """The page that is looked at. `action`: the action id of its paging buttons, which get numbers."""
    look, page = await _page(service, User(slack.team, user), look)
    now = datetime.now(UTC)
    rows = [
        views.chat_row(chat, service.models.label(chat.model), link(slack, chat), now)
        for chat in page.chats
    ]
    heading = (
        strings.CHATS_FOUND.format(words=look.search) if look.search else strings.CHATS_HEADING
    )
    empty = (
        strings.CHATS_NOT_FOUND.format(words=mrkdwn_escape(look.search))
        if look.search
        else strings.CHATS_NONE
    )
    last = look.first + len(rows) - 1
    note = strings.CHATS_PAGE.format(first=look.first, last=last, total=_total(last, page))
    pages = []
    if page.previous_cursor:
        newer = replace(
            look,
            cursor=page.previous_cursor,
            newer=True,
            first=max(1, look.first - CHATS_PAGE_SIZE),
        )
        pages.append((strings.CHATS_NEWER, newer.dump()))
    if page.next_cursor:
        older = replace(
            look, cursor=page.next_cursor, newer=False, first=look.first + CHATS_PAGE_SIZE
        )
        pages.append((strings.CHATS_OLDER, older.dump()))
    made = views.chat_list(rows, heading, empty, pages, note, action)
    return ChatListView(look, made, page.chats, page.total, page.at_least)


def _total(last: int, page: ChatPage) -> str:
    return f"{max(last, page.total)}{'+' if page.at_least else ''}"


async def _page(service: ChatService, user: User, look: ListQuery) -> tuple[ListQuery, ChatPage]:
    """The page, or the first one where it has become that, or no longer holds anything."""
    try:
        page = await service.list_for(user, cursor=look.cursor, words=look.search, newer=look.newer)
    except InvalidInput:
        return await _page(service, user, ListQuery(look.search))
    if look.cursor is not None and (not page.chats or page.previous_cursor is None):
        return await _page(service, user, ListQuery(look.search))
    return look, page


def link(slack: SlackClient, chat: Chat) -> str | None:
    """The address that opens the chat's thread, if it stands in Slack."""
    if chat.thread is None:
        return None
    return slack.permalink(chat.thread.channel, chat.thread.ts, chat.thread.ts)
