"""A person's chats as blocks: the same list for the command and for the Home tab."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from bot import words
from bot.chats.service import PAGE, ChatService
from bot.domain import Person
from handlers import blocks
from handlers.slack import Slack
from handlers.text import mrkdwn_escape


async def chat_list(
    service: ChatService, slack: Slack, user: str, *, search: str = "", trail: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """One page. `trail`: the cursors that led here, the last of them this page's own."""
    person = Person(slack.team, user)
    page = await service.list_for(person, cursor=trail[-1] if trail else None, words=search)
    now = datetime.now(UTC)
    rows = [
        blocks.chat_row(
            chat,
            service.models.label(chat.model),
            slack.permalink(chat.place.channel, chat.place.thread) if chat.place else None,
            now,
        )
        for chat in page.chats
    ]
    heading = words.CHATS_FOUND.format(words=search) if search else words.CHATS_HEADING
    empty = words.CHATS_NOT_FOUND.format(words=mrkdwn_escape(search)) if search else words.CHATS_NONE
    first = len(trail) * PAGE + 1
    note = words.CHATS_PAGE.format(first=first, last=first + len(rows) - 1, total=page.total)
    pages = []
    if trail:
        pages.append((words.CHATS_NEWER, page_value(search, trail[:-1])))
    if page.next_cursor:
        pages.append((words.CHATS_OLDER, page_value(search, (*trail, page.next_cursor))))
    return blocks.chat_list(rows, heading, empty, pages, note)


def page_value(search: str, trail: tuple[str, ...]) -> str:
    """What a paging button carries: at most 2,000 characters, so only the last steps back are kept."""
    kept = list(trail)
    while len(value := json.dumps([search[:200], kept])) > 2000 and kept:
        kept.pop(0)
    return value


def read_page(value: str) -> tuple[str, tuple[str, ...]]:
    """The search and the trail of a paging button. Raises ValueError."""
    search, trail = json.loads(value)
    return str(search), tuple(str(cursor) for cursor in trail)
