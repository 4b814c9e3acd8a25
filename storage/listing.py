"""A person's list of chats: pages by keyset, so that the hundredth costs what the first does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, false, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Chat, Person
from bot.errors import BadInput
from storage.columns import UtcTime
from storage.rows import to_chat
from storage.search import holding
from storage.tables import chats, participants

MOST_COUNTED = 1_000
"""Chats of a list that are counted: so that the count of one with five thousand takes no longer."""
MOST_FOUND = 500


@dataclass(frozen=True, slots=True)
class Page:
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
    person: Person,
    *,
    limit: int,
    cursor: str | None,
    words: Sequence[str],
    newer: bool = False,
) -> Page:
    """The page after `cursor`, or with `newer` the one before it.

    People take part from the first message on, so chats without one are in no list; nor are those in private channels
    that the person has left.
    """
    own = and_(participants.c.team == person.team, participants.c.user == person.user, participants.c.away == false())
    found = await holding(connection, words, own)
    key = (participants.c.active_at, participants.c.chat_id)
    query = select(chats, participants.c.active_at).join(participants, participants.c.chat_id == chats.c.id)
    query = query.where(found.condition)
    at_once = found.few and cursor is None
    if at_once:
        query = query.add_columns(func.count().over().label("total"))
    if cursor is not None:
        active_at, chat_id = _decode(cursor)
        there = tuple_(literal(active_at, UtcTime), literal(chat_id))
        query = query.where(tuple_(*key) > there if newer else tuple_(*key) < there)
    query = query.order_by(*(column.asc() if newer else column.desc() for column in key)).limit(limit + 1)
    rows = (await connection.execute(query)).all()
    most = MOST_FOUND if words else MOST_COUNTED
    more = len(rows) > limit
    if cursor is None and not more:
        total = len(rows)
    elif at_once:
        total = rows[0].total
    else:
        total = await _count(connection, found.condition, most, searching=bool(words))
    shown = list(reversed(rows[:limit])) if newer else rows[:limit]
    older = (cursor is not None) if newer else more
    before = more if newer else cursor is not None
    return Page(
        chats=[to_chat(row) for row in shown],
        next_cursor=_encode(shown[-1].active_at, shown[-1].id) if older and shown else None,
        total=total,
        at_least=total >= most and not at_once,
        previous_cursor=_encode(shown[0].active_at, shown[0].id) if before and shown else None,
    )


async def _count(connection: AsyncConnection, mine: ColumnElement[bool], most: int, *, searching: bool) -> int:
    """How many there are, or `most`."""
    source = participants.join(chats, chats.c.id == participants.c.chat_id) if searching else participants
    some = select(literal(1)).select_from(source).where(mine).limit(most)
    return await connection.scalar(select(func.count()).select_from(some.subquery())) or 0


def _encode(active_at: datetime, chat_id: str) -> str:
    return base64.urlsafe_b64encode(f"{active_at.isoformat()} {chat_id}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        moment, _, chat_id = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii").partition(" ")
        active_at = datetime.fromisoformat(moment)
        if active_at.tzinfo is None or not chat_id.isalnum():
            raise ValueError(cursor)
        active_at = active_at.astimezone(UTC)
    except (ValueError, OverflowError, UnicodeError, binascii.Error):
        raise BadInput("This list's cursor is not one of ours.") from None
    return active_at, chat_id
