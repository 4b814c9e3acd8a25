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
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    and_,
    column,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    true,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Person
from storage.columns import SafeText
from storage.tables import chats, messages, participants

LOOKED_AT = 60
"""Chats, those that the page would begin with, that are looked at to find the way."""
MOST_WORDS = 8
"""Words that are looked at for rare ones."""

_passages = table("passages", column("chat_id", Text), column("text", Text))


@dataclass(frozen=True, slots=True)
class Holding:
    """Which of a person's chats hold the words."""

    condition: ColumnElement[bool]
    """On participants, joined with chats."""
    few: bool = False
    """All that it finds is found in one go, so that counting costs nothing more."""
    joined: bool = True
    """It needs the chats."""
    all: bool = False
    """It leaves none of the person's out."""


def _of(person: Person) -> ColumnElement[bool]:
    return and_(participants.c.team == person.team, participants.c.user == person.user)


def owned_by(person: Person) -> ColumnElement[bool]:
    """Which rows of the participants make the person's list."""
    return and_(_of(person), participants.c.away == false())


async def holding(
    connection: AsyncConnection, words: Sequence[str], person: Person, first: Select[tuple[str]], page: int
) -> Holding:
    """Whether each of the words occurs in a chat, in the title or in some message, whatever its case.

    `first`: the ids of the person's chats, those of the page that is wanted before others; `page`: how many it takes.
    """
    if not words:
        return Holding(owned_by(person), joined=False, all=True)
    rare = await _rare(connection, words, person, first, page)
    conditions = [_holds(word) for word in words if word not in rare]
    joined = bool(conditions)
    for at, word in enumerate(rare):
        found = _found(person, word).cte(f"found_{at}").prefix_with("MATERIALIZED")
        conditions.append(participants.c.chat_id.in_(select(found.c.chat_id)))
    return Holding(and_(owned_by(person), *conditions), few=bool(rare), joined=joined)


def _holds(word: str) -> ColumnElement[bool]:
    in_message = exists().where(messages.c.chat_id == chats.c.id, messages.c.text.icontains(word, autoescape=True))
    return or_(chats.c.title.icontains(word, autoescape=True), in_message)


async def _rare(
    connection: AsyncConnection, words: Sequence[str], person: Person, first: Select[tuple[str]], page: int
) -> list[str]:
    """The words that are better looked up: none where the next chats fill the page, or nothing is in the index."""
    if connection.dialect.name != "postgresql":
        return []
    other = participants.alias("other")
    many = exists().where(other.c.team == person.team, other.c.user == person.user, other.c.indexed == true())
    next_ones = first.where(many.correlate(None)).limit(LOOKED_AT).subquery()
    held = [_holds(word).label(f"held_{at}") for at, word in enumerate(words[:MOST_WORDS])]
    looked = select(*held).join_from(next_ones, chats, chats.c.id == next_ones.c.chat_id).subquery()
    counts = [func.count().filter(each) for each in (and_(*looked.c), *looked.c)]
    query = select(func.count(), *counts).select_from(looked)
    looked_at, all_held, *each_held = (await connection.execute(query)).one()
    if all_held >= page:
        return []
    return [word for word, held in zip(words, each_held, strict=False) if 2 * held < looked_at]


def _found(person: Person, word: str) -> CompoundSelect[tuple[str]]:
    """The chats of this person that hold the word, and perhaps some of others."""
    lower = func.lower(literal(word, SafeText))
    grams = func.search_grams(person.team, person.user, lower, func.least(func.length(lower), 3))
    escaped = re.sub(r"([/%_])", r"/\1", word)
    indexed = select(_passages.c.chat_id).where(
        literal_column('search_grams(team, "user", text, 1)').bool_op("@>")(grams),
        _passages.c.text.like("%" + func.lower(literal(escaped, SafeText)) + "%", escape="/"),
    )
    plain = (
        select(participants.c.chat_id)
        .join(chats, chats.c.id == participants.c.chat_id)
        .where(_of(person), participants.c.indexed == false(), _holds(word))
    )
    return union(indexed, plain)
