"""Finding a person's chats by words, by whichever way is short.

Common words are found by going through the person's own chats, the newest first, until a page is full. For a rare word
that would read all of them; PostgreSQL's index of trigrams gives the few messages of all people that hold it, and of
those the person's own are taken. Which way is shorter, the planner's estimate tells. Without the index (SQLite, or no
extension pg_trgm) the first way is the only one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, literal, or_, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.tables import chats, messages, participants

FEW = 1_000
"""Places of a word that are looked at, whoever's they are, rather than the person's own chats."""
FEW_FOR_EACH = 4
"""As many more for each of the person's own chats, since reading those would take longer."""
MOST_WORDS = 8
"""Words that are looked at for a rare one."""
_ESTIMATE = text(
    "EXPLAIN (FORMAT JSON) SELECT 1 FROM messages WHERE text ILIKE '%' || :word || '%' ESCAPE '/' "
    "UNION ALL SELECT 1 FROM chats WHERE title ILIKE '%' || :word || '%' ESCAPE '/'"
)
_INDEXED = text(
    "SELECT to_regclass('ix_messages_trigrams') IS NOT NULL AND to_regclass('ix_chats_trigrams') IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Holding:
    """Which of a person's chats hold the words."""

    condition: ColumnElement[bool]
    """On participants, joined with chats."""
    few: bool
    """All that it finds is found in one go, so that counting costs nothing more."""


async def holding(connection: AsyncConnection, words: Sequence[str], own: ColumnElement[bool]) -> Holding:
    """Whether each of the words occurs in a chat, in the title or in some message, whatever its case.

    `own`: which rows of the participants are the person's.
    """
    rare = await _rarest(connection, words, own) if words else None
    conditions = [_holds(word) for word in words if word != rare]
    return Holding(and_(own, *conditions, *([_is_among(rare)] if rare is not None else [])), few=rare is not None)


def _holds(word: str) -> ColumnElement[bool]:
    in_message = exists().where(messages.c.chat_id == chats.c.id, messages.c.text.icontains(word, autoescape=True))
    return or_(chats.c.title.icontains(word, autoescape=True), in_message)


def _is_among(word: str) -> ColumnElement[bool]:
    found = (
        union(
            select(messages.c.chat_id).where(messages.c.text.icontains(word, autoescape=True)),
            select(chats.c.id).where(chats.c.title.icontains(word, autoescape=True)),
        )
        .cte("found")
        .prefix_with("MATERIALIZED")
    )
    return participants.c.chat_id.in_(select(found.c.chat_id))


async def _rarest(connection: AsyncConnection, words: Sequence[str], own: ColumnElement[bool]) -> str | None:
    """The word that the index finds in few places; None where every word is common, or there is no index."""
    long = [word for word in words[:MOST_WORDS] if re.search(r"\w{3}", word)]
    if connection.dialect.name != "postgresql" or not long or not await connection.scalar(_INDEXED):
        return None
    estimated = {word: await _places(connection, word) for word in long}
    rarest = min(long, key=lambda word: estimated[word])
    worth_it_from = math.ceil((estimated[rarest] - FEW) / FEW_FOR_EACH)
    return rarest if worth_it_from <= 0 or await _so_many(connection, worth_it_from, own) else None


async def _so_many(connection: AsyncConnection, count: int, own: ColumnElement[bool]) -> bool:
    """Whether the person has so many chats; no more are read."""
    query = select(literal(1)).select_from(participants).where(own).offset(count - 1).limit(1)
    return await connection.scalar(query) is not None


async def _places(connection: AsyncConnection, word: str) -> float:
    """In how many messages and titles it probably is, of all people's."""
    escaped = re.sub(r"([/%_])", r"/\1", word)
    plan = await connection.scalar(_ESTIMATE, {"word": escaped})
    found = json.loads(plan) if isinstance(plan, str) else plan
    rows: float = found[0]["Plan"]["Plan Rows"]
    return rows
