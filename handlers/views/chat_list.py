"""A user's list of chats: the values of its buttons, and its rows and pages as blocks. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot import sentences, strings
from bot.domain import Chat
from handlers.markdown.plain_text import mrkdwn_escape, plain
from handlers.views.blocks import (
    NEW_CHAT_ACTION,
    Block,
    button,
    context,
    is_direct,
    plain_text,
    section,
)

CHATS_PAGE_ACTION = "chats_page"
"""The prefix of the action ids of the list's paging buttons; a period and a number follow."""
MAX_SEARCH_LENGTH = 200
"""Characters of a search that are used, and that a paging button carries."""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which part of a list a user is looking at: its first page, or the page after or before a cursor."""

    search: str = ""
    cursor: str | None = None
    newer: bool = False
    first: int = 1
    """Number of the first chat on the page. It is only a label: chats move up while people turn pages."""

    @classmethod
    def for_search(cls, search: str) -> ListQuery:
        """The first page of a search."""
        return cls(" ".join(search[:MAX_SEARCH_LENGTH].split()))

    def dump(self) -> str:
        """The value of a paging button; a few hundred characters on any page."""
        return json.dumps([self.search, self.cursor, self.newer, self.first], ensure_ascii=False)

    @classmethod
    def load(cls, text: str) -> ListQuery:
        """Reads what `dump` wrote; anything else means the first page of all chats."""
        try:
            search, cursor, newer, first = json.loads(text)
            query = cls(
                str(search)[:MAX_SEARCH_LENGTH],
                None if cursor is None else str(cursor),
                bool(newer),
                int(first),
            )
        except (ValueError, TypeError, OverflowError):
            return cls()
        return query if query.first >= 1 else cls(query.search)


@dataclass(frozen=True, slots=True)
class ChatListView:
    """One page, ready to be rendered."""

    query: ListQuery
    blocks: list[dict[str, Any]]
    chats: list[Chat]
    total: int
    """Chats on all pages together."""
    at_least: bool
    """Whether `total` is a lower bound: counting stops at a limit."""


def chat_row(chat: Chat, model: str, link: str | None, now: datetime) -> Block:
    """One chat: its title as a link, and a line with model, place, age and number of messages."""
    title = mrkdwn_escape(plain(sentences.title(chat), 150))
    heading = f"*<{mrkdwn_escape(link)}|{title}>*" if link else f"*{title}*"
    count = strings.MESSAGES.format(count=chat.message_count)
    facts = [mrkdwn_escape(plain(model, 100)), _place(chat), age(chat.updated_at, now), count]
    return section(f"{heading}\n{' · '.join(facts)}")


def _place(chat: Chat) -> str:
    """Where the chat takes place, as mrkdwn."""
    if chat.thread is None:
        return strings.PLACE_API
    channel = chat.thread.channel
    return strings.PLACE_DIRECT if is_direct(channel) else strings.PLACE.format(channel=channel)


def chat_list(
    rows: Sequence[Block],
    heading: str,
    empty: str,
    pages: Sequence[tuple[str, str]] = (),
    note: str = "",
    action: str = CHATS_PAGE_ACTION,
) -> list[Block]:
    """A list of chats. `pages`: label and value of each paging button, whose action ids begin with `action`."""
    if not rows:
        return [section(empty)]
    blocks: list[Block] = [{"type": "header", "text": plain_text(heading, 150, emoji=True)}, *rows]
    if note and pages:
        blocks.append(context(note))
    if pages:
        elements = [
            button(label, f"{action}.{number}", value)
            for number, (label, value) in enumerate(pages)
        ]
        blocks.append({"type": "actions", "elements": elements})
    return blocks


def as_message(view: ChatListView) -> list[Block]:
    """The list as a message with *New chat*, and with *Refresh*, since messages do not update themselves."""
    *rows, last = view.blocks
    paging = last["elements"] if last["type"] == "actions" else []
    above = rows if paging else view.blocks
    refresh = button(strings.CHATS_REFRESH, f"{CHATS_PAGE_ACTION}.again", view.query.dump())
    new_chat = button(strings.NEW_CHAT, NEW_CHAT_ACTION, "list")
    elements = [*paging, *([refresh] if view.chats else []), new_chat]
    return [*above, {"type": "actions", "elements": elements}]


def age(then: datetime, now: datetime) -> str:
    """How long ago, in words: "just now", "5 min ago", "3 h ago", "2 d ago", then the date."""
    seconds = max(0.0, (now - then).total_seconds())
    if seconds < 60:
        return strings.AGE_NOW
    if seconds < 3600:
        return strings.AGE_MINUTES.format(count=int(seconds // 60))
    if seconds < 86_400:
        return strings.AGE_HOURS.format(count=int(seconds // 3600))
    if seconds < 30 * 86_400:
        return strings.AGE_DAYS.format(count=int(seconds // 86_400))
    return f"{then:%Y-%m-%d}"
