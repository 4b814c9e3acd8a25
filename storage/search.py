"""Finding a person's chats by words, by whichever way is short.

A common word is found by going through the person's own chats, the newest first, until a page is full. For a rare word
that would read all of them. So where there are many, PostgreSQL has an index of what each person may see
(`passages`, which triggers keep), and a look at some of the newest chats tells which words are rare. The first fifty
chats of each person are not in it and are read. On SQLite nothing is, and the first way is the only one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Person
from storage.columns import SafeText, UtcTime
from storage.tables import ID, chats, messages, participants

LOOKED_AT = 40
"""Chats, those that the page would begin with, that are looked at to find the way."""
MOST_WORDS = 8
"""Words that are looked at for rare ones."""

_INDEXED_OR_PLAIN = text(
    """
SELECT own.chat_id, own.active_at FROM passages
JOIN participants AS own ON own.team = :team AND own."user" = :user AND own.chat_id = passages.chat_id AND NOT own.away
WHERE search_grams(passages.team, passages."user", passages.text, 1)
    @> search_grams(:team, :user, lower(:word), least(length(lower(:word)), 4))
  AND passages.text LIKE '%' || lower(:pattern) || '%' ESCAPE '/'
UNION
SELECT own.chat_id, own.active_at FROM participants AS own
WHERE own.team = :team AND own."user" = :user AND NOT own.away AND NOT own.indexed
  AND ((SELECT true FROM messages WHERE chat_id = own.chat_id AND text ILIKE '%' || :pattern || '%' ESCAPE '/' LIMIT 1)
    OR (SELECT true FROM chats WHERE id = own.chat_id AND title ILIKE '%' || :pattern || '%' ESCAPE '/'))
"""
)


@dataclass(frozen=True, slots=True)
class Holding:
    """Which of a person's chats hold the words."""

    source: FromClause
    """Where the chats stand, by `chat_id` and `active_at`: participants, or few of them."""
    conditions: tuple[ColumnElement[bool], ...]
    """On the source."""
    words: tuple[str, ...] = ()
    """Those of the conditions that are looked for in the texts."""

    @property
    def few(self) -> bool:
        """All are found in one go, so that counting costs nothing more."""
        return self.source is not participants


def owned_by(person: Person) -> ColumnElement[bool]:
    """Which rows of the participants make the person's list."""
    return and_(participants.c.team == person.team, participants.c.user == person.user, participants.c.away == false())


async def holding(
    connection: AsyncConnection, words: Sequence[str], person: Person, first: Select[tuple[str]], page: int
) -> Holding:
    """Whether each of the words occurs in a chat, in the title or in some message, whatever its case.

    `first`: the ids of the person's chats, those of the page that is wanted before others; `page`: how many it takes.
    """
    own = owned_by(person)
    if not words:
        return Holding(participants, (own,))
    rare = await _rare(connection, words, person, first, page)
    common = [word for word in words if word not in rare]
    if not rare:
        return Holding(participants, (own, *(holds(participants.c.chat_id, word) for word in common)), tuple(common))
    source, *others = [_found(person, word, at) for at, word in enumerate(rare)]
    in_others = [source.c.chat_id.in_(select(other.c.chat_id)) for other in others]
    return Holding(source, (*in_others, *(holds(source.c.chat_id, word) for word in common)))


def holds(chat_id: ColumnElement[str], word: str) -> ColumnElement[bool]:
    """Whether the chat does. The messages first: a common word is in one of them, and the chat need not be read."""
    of_chat = and_(messages.c.chat_id == chat_id, messages.c.text.icontains(word, autoescape=True))
    titled = and_(chats.c.id == chat_id, chats.c.title.icontains(word, autoescape=True))
    # Not EXISTS: PostgreSQL would at times rather read all messages there are once than those of a chat for each.
    in_message = select(messages.c.number).where(of_chat).limit(1).scalar_subquery()
    in_title = select(literal(1)).select_from(chats).where(titled).limit(1).scalar_subquery()
    return or_(in_message.is_not(None), in_title.is_not(None))


async def _rare(
    connection: AsyncConnection, words: Sequence[str], person: Person, first: Select[tuple[str]], page: int
) -> list[str]:
    """The words that are better looked up: none where the next chats fill the page, or nothing is in the index."""
    if connection.dialect.name != "postgresql":
        return []
    other = participants.alias("other")
    many = exists().where(other.c.team == person.team, other.c.user == person.user, other.c.indexed == true())
    next_ones = first.where(many.correlate(None)).limit(LOOKED_AT).subquery()
    held = [holds(next_ones.c.chat_id, word).label(f"held_{at}") for at, word in enumerate(words[:MOST_WORDS])]
    looked = select(*held).select_from(next_ones).limit(LOOKED_AT).subquery()  # limited: else each is looked for twice
    counts = [func.count().filter(each) for each in (and_(*looked.c), *looked.c)]
    query = select(func.count(), *counts).select_from(looked)
    looked_at, all_held, *each_held = (await connection.execute(query)).one()
    if all_held >= page:
        return []
    return [word for word, held in zip(words, each_held, strict=False) if 2 * held < looked_at]


def _found(person: Person, word: str, at: int) -> CTE:
    """The chats of this person that hold the word, and perhaps some of others."""
    pattern = re.sub(r"([/%_])", r"/\1", word)
    of_word = {"word": word, "pattern": pattern, "team": person.team, "user": person.user}
    values = [bindparam(name, value, SafeText, unique=True) for name, value in of_word.items()]
    query = _INDEXED_OR_PLAIN.bindparams(*values).columns(chat_id=ID, active_at=UtcTime)
    return query.cte(f"found_{at}").prefix_with("MATERIALIZED")
