"""Loads one page of a user's chats and renders it, for both `/chats` and the Home tab."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bot import strings
from bot.chats.models import ModelChoice
from bot.domain import Chat, User
from bot.errors import InvalidInput, SearchTooLong, StorageError
from handlers.client.web_api import SlackClient
from handlers.markdown.plain_text import mrkdwn_escape
from handlers.views import chat_list as views
from handlers.views.chat_list import CHATS_PAGE_ACTION, ChatListView, ListQuery
from storage.chats import Chats
from storage.statements.chat_list import ChatPage

CHATS_PAGE_SIZE = 10


async def load_chat_list(
    chats: Chats,
    models: ModelChoice,
    slack: SlackClient,
    user: str,
    query: ListQuery,
    *,
    action: str = CHATS_PAGE_ACTION,
) -> ChatListView:
    """The part of the list that `query` asks for. `action`: prefix of the paging buttons' action ids."""
    query, page = await _load_page(chats, User(slack.team, user), query)
    now = datetime.now(UTC)
    rows = [
        views.chat_row(chat, models.label(chat.model), _permalink(slack, chat), now)
        for chat in page.chats
    ]
    blocks = views.chat_list(
        rows,
        heading=_heading(query),
        empty=_empty(query),
        pages=_paging_buttons(query, page),
        note=_range(query.first, query.first + len(rows) - 1, page),
        action=action,
    )
    return ChatListView(query, blocks, page.chats, page.total, page.at_least)


def why_not_listed(error: StorageError) -> str:
    """What to tell the person whose list could not be loaded."""
    is_search = isinstance(error, SearchTooLong)
    return strings.SEARCH_TOO_LONG if is_search else strings.LIST_NOT_SHOWN


async def _load_page(chats: Chats, user: User, query: ListQuery) -> tuple[ListQuery, ChatPage]:
    """The page with its query; the first page if the cursor is invalid, or leads to an empty page or the first one."""
    try:
        page = await chats.list_for(
            user,
            limit=CHATS_PAGE_SIZE,
            cursor=query.cursor,
            words=query.search or None,
            newer=query.newer,
        )
    except InvalidInput:
        return await _load_page(chats, user, ListQuery(query.search))
    if query.cursor is not None and (not page.chats or page.previous_cursor is None):
        return await _load_page(chats, user, ListQuery(query.search))
    return query, page


def _heading(query: ListQuery) -> str:
    return strings.CHATS_FOUND.format(words=query.search) if query.search else strings.CHATS_HEADING


def _empty(query: ListQuery) -> str:
    if not query.search:
        return strings.CHATS_NONE
    return strings.CHATS_NOT_FOUND.format(words=mrkdwn_escape(query.search))


def _paging_buttons(query: ListQuery, page: ChatPage) -> list[tuple[str, str]]:
    """Label and value of each button."""
    buttons = []
    if page.previous_cursor:
        first = max(1, query.first - CHATS_PAGE_SIZE)
        newer = replace(query, cursor=page.previous_cursor, newer=True, first=first)
        buttons.append((strings.CHATS_NEWER, newer.dump()))
    if page.next_cursor:
        first = query.first + CHATS_PAGE_SIZE
        older = replace(query, cursor=page.next_cursor, newer=False, first=first)
        buttons.append((strings.CHATS_OLDER, older.dump()))
    return buttons


def _range(first: int, last: int, page: ChatPage) -> str:
    total = f"{max(last, page.total)}{'+' if page.at_least else ''}"
    return strings.CHATS_PAGE.format(first=first, last=last, total=total)


def _permalink(slack: SlackClient, chat: Chat) -> str | None:
    if chat.thread is None:
        return None
    return slack.permalink(chat.thread.channel, chat.thread.ts, chat.thread.ts)
