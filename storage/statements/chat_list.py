"""A user's list of chats, in keyset pages, so that the hundredth page costs no more than the first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, not_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Chat, User
from bot.errors import InvalidInput
from storage.statements.rows import to_chat
from storage.statements.search import ListPosition, Matches, Search, SearchLimits, in_list_order
from storage.tables import chats, participants


@dataclass(frozen=True, slots=True)
class ChatPage:
    """One page of a user's chats, in order."""

    chats: list[Chat]
    next_cursor: str | None
    """Opaque; None on the last page."""
    total: int
    """How many chats are on all pages together, as far as they were counted."""
    at_least: bool = False
    """There may be more than `total`: counting stops where it would become expensive."""
    previous_cursor: str | None = None
    """For the page of newer chats; None on the first page."""


async def list_chats(
    connection: AsyncConnection,
    user: User,
    *,
    limit: int,
    cursor: str | None,
    words: Sequence[str],
    newer: bool = False,
    limits: SearchLimits = SearchLimits(),
    channels: Sequence[str] = (),
) -> ChatPage:
    """The page after `cursor`, or with `newer` the one before it.

    Users take part in a chat from its first message on, so no list shows an empty chat. It also leaves out chats in
    private channels that the user has left, and in channels that match none of the patterns `channels`. Raises
    InvalidInput for an invalid cursor.
    """
    start = None if cursor is None else _decode_cursor(cursor)
    search = Search(connection, user, words, limits, channels)
    matches = await search.page(start, limit + 1, newer=newer)
    count_with_page = matches.all_at_once and start is None
    query = _select_page(matches, start, limit=limit + 1, newer=newer, counted=count_with_page)
    rows = (await connection.execute(query)).all()
    more = len(rows) > limit
    if start is None and not more:
        total, at_least = len(rows), False
    elif count_with_page:
        total, at_least = limits.cap_count(rows[0].total)
    else:
        total, at_least = await search.count()
    shown = rows[:limit]
    if newer:
        shown = list(reversed(shown))
    has_older = start is not None if newer else more
    has_newer = more if newer else start is not None
    return ChatPage(
        chats=[to_chat(row) for row in shown],
        next_cursor=_encode_cursor(shown[-1]) if has_older and shown else None,
        total=max(total, len(shown)),
        at_least=at_least,
        previous_cursor=_encode_cursor(shown[0]) if has_newer and shown else None,
    )


def _select_page(
    matches: Matches, start: ListPosition | None, *, limit: int, newer: bool, counted: bool
) -> Select[Any]:
    """Reads complete chats only for the rows of the page."""
    source = matches.source
    query = select(source.c.chat_id, source.c.active_at)
    if counted:
        query = query.add_columns(func.count().over().label("total"))
    query = in_list_order(query.where(*matches.conditions), source, start, newer=newer)
    page = query.limit(limit).subquery()
    with_chats = select(chats, *page.c).join(page, page.c.chat_id == chats.c.id)
    return in_list_order(with_chats, page, newer=newer)


def _encode_cursor(row: Row[Any]) -> str:
    position = f"{row.active_at.isoformat()} {row.id}"
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> ListPosition:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii")
        moment, _, chat_id = position.partition(" ")
        active_at = datetime.fromisoformat(moment)
        if active_at.tzinfo is None or not chat_id.isalnum():
            raise ValueError(cursor)
        active_at = active_at.astimezone(UTC)
    except (ValueError, OverflowError, UnicodeError, binascii.Error):
        raise InvalidInput("This list's cursor is not one of ours.") from None
    return active_at, chat_id


def select_visible(user: User, chat_id: str) -> Select[Any]:
    """The chat, if this user started it or took part in it, or in the chat that it continues, and can still see it."""

    def taking_part(chat: ColumnElement[str]) -> Select[Any]:
        return select(participants.c.user).where(
            participants.c.chat_id == chat,
            participants.c.team == user.team,
            participants.c.user == user.id,
        )

    here, before = taking_part(chats.c.id), taking_part(chats.c.continues)
    away = or_(
        here.where(participants.c.away == true()).exists(),
        before.where(participants.c.away == true()).exists(),
    )
    own = or_(chats.c.owner == user.id, here.exists(), before.exists())
    return select(chats).where(chats.c.id == chat_id, chats.c.team == user.team, own, not_(away))
