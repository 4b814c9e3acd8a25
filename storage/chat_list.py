"""A person's list of chats: pages by keyset, so that the hundredth costs what the first does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Chat, User
from bot.errors import InvalidInput
from storage.rows import to_chat
from storage.search import ListPosition, Matches, Search, capped_count, in_list_order
from storage.tables import chats


@dataclass(frozen=True, slots=True)
class ChatPage:
    """Some of a person's chats, in order."""

    chats: list[Chat]
    next_cursor: str | None
    """Opaque; None when this is the last page."""
    total: int
    """How many chats all pages together hold, as far as was counted."""
    at_least: bool = False
    """There may be more than `total`: counting was ended where it would have become dear."""
    previous_cursor: str | None = None
    """For the page of newer chats; None when this is the first page."""


async def list_chats(
    connection: AsyncConnection,
    user: User,
    *,
    limit: int,
    cursor: str | None,
    words: Sequence[str],
    newer: bool = False,
) -> ChatPage:
    """The page after `cursor`, or with `newer` the one before it.

    People take part from the first message on, so chats without one are in no list; nor are those in private channels
    that the person has left.
    """
    there = None if cursor is None else _decode(cursor)
    search = Search(connection, user, words)
    found = await search.page(there, limit + 1, newer=newer)
    at_once = found.all_at_once and there is None
    rows = (
        await connection.execute(_page(found, there, limit=limit + 1, newer=newer, counted=at_once))
    ).all()
    more = len(rows) > limit
    at_least = False
    if there is None and not more:
        total = len(rows)
    elif at_once:
        total, at_least = capped_count(rows[0].total)
    else:
        total, at_least = await search.count()
    shown = list(reversed(rows[:limit])) if newer else rows[:limit]
    older = (there is not None) if newer else more
    before = more if newer else there is not None
    return ChatPage(
        chats=[to_chat(row) for row in shown],
        next_cursor=_encode(shown[-1].active_at, shown[-1].id) if older and shown else None,
        total=max(total, len(shown)),
        at_least=at_least,
        previous_cursor=_encode(shown[0].active_at, shown[0].id) if before and shown else None,
    )


def _page(
    found: Matches, there: ListPosition | None, *, limit: int, newer: bool, counted: bool
) -> Select[Any]:
    """The chats themselves are read for those of the page alone."""
    some = select(found.source.c.chat_id, found.source.c.active_at)
    if counted:
        some = some.add_columns(func.count().over().label("total"))
    shown = (
        in_list_order(some.where(*found.conditions), found.source, there, newer=newer)
        .limit(limit)
        .subquery()
    )
    return in_list_order(
        select(chats, *shown.c).join(shown, shown.c.chat_id == chats.c.id), shown, newer=newer
    )


def _encode(active_at: datetime, chat_id: str) -> str:
    return (
        base64.urlsafe_b64encode(f"{active_at.isoformat()} {chat_id}".encode()).decode().rstrip("=")
    )


def _decode(cursor: str) -> ListPosition:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, _, chat_id = (
            base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii").partition(" ")
        )
        active_at = datetime.fromisoformat(moment)
        if active_at.tzinfo is None or not chat_id.isalnum():
            raise ValueError(cursor)
        active_at = active_at.astimezone(UTC)
    except (ValueError, OverflowError, UnicodeError, binascii.Error):
        raise InvalidInput("This list's cursor is not one of ours.") from None
    return active_at, chat_id
