"""A person's chats as blocks: the same list for the command and for the Home tab."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bot import strings
from bot.chats.service import PAGE, ChatService
from bot.domain import Chat, User
from bot.errors import BadInput
from handlers.client.web_api import SlackClient
from handlers.markdown.text import mrkdwn_escape
from handlers.views import blocks
from storage.chats import ChatPage

SEARCH_LIMIT = 200
"""Characters of a search that are looked for, and that a button carries on."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What part of a list somebody looks at: its first page, or the one behind or before a cursor."""

    search: str = ""
    cursor: str | None = None
    newer: bool = False
    first: int = 1
    """Number of the first chat on the page. Nothing but a label: chats move up while people turn pages."""

    @classmethod
    def words(cls, search: str) -> ListQuery:
        """The first page of a search."""
        return cls(" ".join(search[:SEARCH_LIMIT].split()))

    def dump(self) -> str:
        """What a paging button carries; a few hundred characters, on whatever page."""
        return json.dumps([self.search, self.cursor, self.newer, self.first], ensure_ascii=False)

    @classmethod
    def load(cls, text: str) -> ListQuery:
        """What `dump` wrote; the first page of all for anything else."""
        try:
            search, cursor, newer, first = json.loads(text)
            look = cls(
                str(search)[:SEARCH_LIMIT],
                None if cursor is None else str(cursor),
                bool(newer),
                int(first),
            )
        except (ValueError, TypeError, OverflowError):
            return cls()
        return look if look.first >= 1 else cls(look.search)


@dataclass(frozen=True, slots=True)
class ChatListView:
    """One page, ready to be shown."""

    look: ListQuery
    blocks: list[dict[str, Any]]
    chats: list[Chat]
    total: int
    """On all pages together."""
    at_least: bool
    """There may be more: counting has an end."""


async def chat_list(
    service: ChatService,
    slack: SlackClient,
    user: str,
    look: ListQuery = ListQuery(),
    action: str = blocks.PAGE,
) -> ChatListView:
    """The page that is looked at. `action`: the action id of its paging buttons, which get numbers."""
    look, page = await _page(service, User(slack.team, user), look)
    now = datetime.now(UTC)
    rows = [
        blocks.chat_row(chat, service.models.label(chat.model), link(slack, chat), now)
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
            look, cursor=page.previous_cursor, newer=True, first=max(1, look.first - PAGE)
        )
        pages.append((strings.CHATS_NEWER, newer.dump()))
    if page.next_cursor:
        older = replace(look, cursor=page.next_cursor, newer=False, first=look.first + PAGE)
        pages.append((strings.CHATS_OLDER, older.dump()))
    made = blocks.chat_list(rows, heading, empty, pages, note, action)
    return ChatListView(look, made, page.chats, page.total, page.at_least)


def refreshable(listing: ChatListView) -> list[dict[str, Any]]:
    """The list with a button that shows it anew, for where it does not change by itself."""
    again = blocks.button(strings.CHATS_REFRESH, f"{blocks.PAGE}.again", listing.look.dump())
    last = listing.blocks[-1]
    if last["type"] == "actions":
        return [*listing.blocks[:-1], {**last, "elements": [*last["elements"], again]}]
    return (
        [*listing.blocks, {"type": "actions", "elements": [again]}]
        if listing.chats
        else listing.blocks
    )


def _total(last: int, page: ChatPage) -> str:
    return f"{max(last, page.total)}{'+' if page.at_least else ''}"


async def _page(service: ChatService, user: User, look: ListQuery) -> tuple[ListQuery, ChatPage]:
    """The page, or the first one where it has become that, or no longer holds anything."""
    try:
        page = await service.list_for(user, cursor=look.cursor, words=look.search, newer=look.newer)
    except BadInput:
        return await _page(service, user, ListQuery(look.search))
    if look.cursor is not None and (not page.chats or page.previous_cursor is None):
        return await _page(service, user, ListQuery(look.search))
    return look, page


def link(slack: SlackClient, chat: Chat) -> str | None:
    """The address that opens the chat's thread, if it stands in Slack."""
    if chat.thread is None:
        return None
    return slack.permalink(chat.thread.channel, chat.thread.ts, chat.thread.ts)
