"""Finding a person's chats by words, by whichever way is short.

A common word is found by going through the person's own chats, the newest first, until a page is full. For a rare word
that would read all of them. So where there are many, PostgreSQL has an index of what each person may see
(`passages`, which triggers keep), and a look at some of the newest chats tells which words are rare. Of those that the
index names, the newest are found by going through the list if they are many, else by putting all in order. The first
fifty chats of each person are not in it and are read. On SQLite nothing is, and the first way is the only one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    FromClause,
    Row,
    ScalarSelect,
    Select,
    TextClause,
    and_,
    bindparam,
    case,
    column,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    table,
    text,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import User
from storage.engine.types import SafeText, UtcTime
from storage.tables import ID, chats, messages, participants

ListPosition = tuple[datetime, str]
"""Where a chat stands in a list: its newest message's time, and its id."""

SAMPLE_SIZE = 40
"""Chats, those that the page would begin with, that are looked at to find the way."""
MIN_SAMPLE_HITS = 2
"""If so many of them hold the words, enough are found soon by going through the list, where the index names them."""
MAX_WORDS = 8
"""Words that are looked at for rare ones."""
MAX_SCANNED = 1_000
"""The newest chats, which are counted, or looked at for words: so that five thousand take no longer."""
MAX_COUNTED = 100
MAX_INDEX_HITS = 150
"""What the index finds first, from which a hundred chats are counted unless the words stand often in each."""

_passages = table(
    "passages", *(column(name) for name in ("team", "user", "chat_id", "number", "text"))
)

_PASSAGE_MATCHES = """
search_grams(passages.team, passages."user", passages.text, 1)
    @> search_grams(:team, :user, lower(:word), least(length(lower(:word)), 4))
  AND passages.text LIKE lower(:pattern) ESCAPE '/'
"""
_UNINDEXED_CHATS = """
SELECT own.chat_id, own.active_at, false FROM participants AS own
WHERE own.team = :team AND own."user" = :user AND NOT own.away AND NOT own.indexed
  AND ((SELECT true FROM messages WHERE chat_id = own.chat_id AND text ILIKE :pattern ESCAPE '/' LIMIT 1)
    OR (SELECT true FROM chats WHERE id = own.chat_id AND title ILIKE :pattern ESCAPE '/'))
"""
_INDEXED_CHAT_IDS = text(f"SELECT chat_id FROM passages WHERE {_PASSAGE_MATCHES}")  # noqa: S608 - our own words
_ALL_HITS = text(
    f"""
SELECT own.chat_id, own.active_at, true AS indexed FROM participants AS own
WHERE own.team = :team AND own."user" = :user AND NOT own.away
  AND own.chat_id = ANY (ARRAY(SELECT chat_id FROM passages WHERE {_PASSAGE_MATCHES}))
UNION ALL {_UNINDEXED_CHATS}"""  # noqa: S608 - our own words
)
_HITS_PER_PASSAGE = text(
    f"""
SELECT own.chat_id, own.active_at, true AS indexed FROM passages
JOIN participants AS own ON own.team = :team AND own."user" = :user AND own.chat_id = passages.chat_id AND NOT own.away
WHERE {_PASSAGE_MATCHES} UNION ALL {_UNINDEXED_CHATS}"""  # noqa: S608 - our own words
)
"""A chat as often as the word is found in it: so that whoever has enough need not wait for the others."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Those of a person's chats that hold the words."""

    source: FromClause
    """Where they stand, by `chat_id` and `active_at`."""
    conditions: tuple[ColumnElement[bool], ...]
    """On the source."""
    all_at_once: bool = False
    """None of them is known before all are: counting them costs nothing more."""


def owned_by(user: User) -> ColumnElement[bool]:
    """Which rows of the participants make the person's list."""
    return and_(
        participants.c.team == user.team,
        participants.c.user == user.id,
        participants.c.away == false(),
    )


def in_list_order(
    query: Select[Any],
    source: FromClause = participants,
    there: ListPosition | None = None,
    *,
    newer: bool = False,
) -> Select[Any]:
    """From this place of the list on, or with `newer` back from it."""
    key = (source.c.active_at, source.c.chat_id)
    if there is not None:
        position = tuple_(literal(there[0], UtcTime), literal(there[1]))
        query = query.where(tuple_(*key) > position if newer else tuple_(*key) < position)
    return query.order_by(*(each.asc() if newer else each.desc() for each in key))


def capped_count(found: int) -> tuple[int, bool]:
    """How many are told of so many, and whether there are more."""
    return min(found, MAX_COUNTED), found > MAX_COUNTED


class Search:
    """The chats of a person in which each of the words occurs, in the title or in some message, whatever its case."""

    def __init__(self, connection: AsyncConnection, user: User, words: Sequence[str]) -> None:
        self._connection = connection
        self._user = user
        self._words = list(dict.fromkeys(words))
        self._has_index = connection.dialect.name == "postgresql"
        self._rare: list[str] = []

    async def page(self, there: ListPosition | None, most: int, *, newer: bool) -> Matches:
        """The first `most` of them from this place of the list on, or with `newer` back from it; perhaps others too."""
        if not (self._words and self._has_index):
            return self._read()
        looked_at = await self._look(there, newer=newer)
        known = [row.chat_id for row in looked_at if all(row.held)]
        ended = len(looked_at) < SAMPLE_SIZE
        if looked_at and looked_at[0].many:
            self._rare = [
                word for at, word in enumerate(self._words[:MAX_WORDS]) if _is_rare(looked_at, at)
            ]
        if ended or len(known) >= most:
            return Matches(participants, (owned_by(self._user), participants.c.chat_id.in_(known)))
        if self._rare and len(known) >= MIN_SAMPLE_HITS:
            return self._go_through(there, most, newer=newer)
        return self._look_up(_ALL_HITS) if self._rare else self._read()

    async def count(self) -> tuple[int, bool]:
        """How many there are, once their page was asked for, and whether there may be more."""
        if self._rare:
            return await self._count_hits()
        newest = self._next(None, MAX_SCANNED)
        numbers = [_count_rows(select(newest.c.chat_id))]
        if self._words:
            holding = select(newest.c.chat_id).where(
                *(self._holds(newest, word) for word in self._words)
            )
            numbers.append(_count_rows(holding.limit(MAX_COUNTED)))
        newest_ones, *found = (await self._connection.execute(select(*numbers))).one()
        all_looked_at = newest_ones < MAX_SCANNED and all(number < MAX_COUNTED for number in found)
        return found[0] if found else newest_ones, not all_looked_at

    async def _look(self, there: ListPosition | None, *, newer: bool) -> list[Row[Any]]:
        """The next chats of all, and which of the words each holds."""
        first, others = self._words[:MAX_WORDS], self._words[MAX_WORDS:]
        next_ones = self._next(there, SAMPLE_SIZE, newer=newer)
        held = [self._holds(next_ones, word) for word in first]
        if others:
            held.append(and_(*(self._holds(next_ones, word) for word in others)))
        other = participants.alias("other")
        many = exists().where(
            other.c.team == self._user.team,
            other.c.user == self._user.id,
            other.c.indexed == true(),
        )
        query = select(
            next_ones.c.chat_id,
            next_ones.c.active_at,
            many.label("many"),
            array(held).label("held"),
        )
        return [*await self._connection.execute(in_list_order(query, next_ones, newer=newer))]

    def _go_through(self, there: ListPosition | None, most: int, *, newer: bool) -> Matches:
        """By going through the list until there are enough for the page, and for counting them."""
        own = select(participants.c.chat_id, participants.c.active_at).where(owned_by(self._user))
        own = own.where(
            *(self._holds_rare(word, at) for at, word in enumerate(self._rare)),
            *self._common(participants),
        )
        those = in_list_order(own, there=there, newer=newer).limit(max(most, MAX_COUNTED + 1))
        return Matches(those.cte("found").prefix_with("MATERIALIZED"), (), all_at_once=True)

    def _holds_rare(self, word: str, at: int) -> ColumnElement[bool]:
        """Whether the index says so, or it is one of the few chats that are not in there, and holds the word."""
        named = (
            self._asked(_INDEXED_CHAT_IDS, word)
            .columns(chat_id=ID)
            .cte(f"named_{at}")
            .prefix_with("MATERIALIZED")
        )
        plain = participants.alias("plain")
        of_person = and_(
            plain.c.team == self._user.team,
            plain.c.user == self._user.id,
            not_(plain.c.away),
            not_(plain.c.indexed),
        )
        chat_id = participants.c.chat_id
        read = and_(
            chat_id.in_(select(plain.c.chat_id).where(of_person)), self._reads(participants, word)
        )
        return or_(chat_id.in_(select(named.c.chat_id)), read)

    def _next(self, there: ListPosition | None, most: int, *, newer: bool = False) -> FromClause:
        own = select(participants.c.chat_id, participants.c.active_at, participants.c.indexed)
        return (
            in_list_order(own.where(owned_by(self._user)), there=there, newer=newer)
            .limit(most)
            .subquery()
        )

    def _read(self) -> Matches:
        """By reading chats until there are enough."""
        return Matches(
            participants,
            (owned_by(self._user), *(self._holds(participants, word) for word in self._words)),
        )

    def _look_up(self, how: TextClause) -> Matches:
        """By asking the index for those that hold the rare words, of which the other words are looked for."""
        source, *others = [self._hits(how, word, at) for at, word in enumerate(self._rare)]
        in_others = [source.c.chat_id.in_(select(other.c.chat_id)) for other in others]
        return Matches(source, (*in_others, *self._common(source)), all_at_once=True)

    def _common(self, own: FromClause) -> list[ColumnElement[bool]]:
        return [self._holds(own, word) for word in self._words if word not in self._rare]

    def _hits(self, how: TextClause, word: str, at: int) -> CTE:
        query = self._asked(how, word).columns(chat_id=ID, active_at=UtcTime, indexed=Boolean)
        return query.cte(f"found_{at}").prefix_with("MATERIALIZED")

    def _asked(self, how: TextClause, word: str) -> TextClause:
        of_word = {
            "word": word,
            "pattern": _pattern(word),
            "team": self._user.team,
            "user": self._user.id,
        }
        values = [bindparam(name, value, SafeText, unique=True) for name, value in of_word.items()]
        return how.bindparams(*values)

    async def _count_hits(self) -> tuple[int, bool]:
        found = self._look_up(_HITS_PER_PASSAGE)
        for most in (MAX_INDEX_HITS, None):
            hits = select(found.source.c.chat_id).where(*found.conditions).limit(most).subquery()
            query = select(func.count(hits.c.chat_id.distinct()), func.count()).select_from(hits)
            chats_found, seen = (await self._connection.execute(query)).one()
            if chats_found > MAX_COUNTED or seen != most:
                break
        return capped_count(chats_found)

    def _holds(self, own: FromClause, word: str) -> ColumnElement[bool]:
        """Whether the chat does."""
        if not self._has_index:
            return self._reads(own, word)
        passage = and_(
            _passages.c.team == self._user.team,
            _passages.c.user == self._user.id,
            _passages.c.chat_id == own.c.chat_id,
            _passages.c.text.like(func.lower(literal(_pattern(word), SafeText)), escape="/"),
        )
        in_passage = select(_passages.c.number).where(passage).limit(1).scalar_subquery()
        return case((own.c.indexed, in_passage.is_not(None)), else_=self._reads(own, word))

    def _reads(self, own: FromClause, word: str) -> ColumnElement[bool]:
        """The messages first: a common word is in one of them, and the chat need not be read."""
        pattern = literal(_pattern(word), SafeText)
        of_chat = and_(
            messages.c.chat_id == own.c.chat_id, messages.c.text.ilike(pattern, escape="/")
        )
        titled = and_(chats.c.id == own.c.chat_id, chats.c.title.ilike(pattern, escape="/"))
        # Not EXISTS: PostgreSQL would at times rather read all messages there are once than those of a chat for each.
        in_message = select(messages.c.number).where(of_chat).limit(1).scalar_subquery()
        in_title = select(literal(1)).select_from(chats).where(titled).limit(1).scalar_subquery()
        return or_(in_message.is_not(None), in_title.is_not(None))


def _is_rare(looked_at: Sequence[Row[Any]], at: int) -> bool:
    """Whether this word is better looked up than looked for."""
    holding = [row for row in looked_at if row.held[at]]
    return 2 * len(holding) < len(looked_at)


def _count_rows(query: Select[Any]) -> ScalarSelect[int]:
    return select(func.count()).select_from(query.subquery()).scalar_subquery()


def _pattern(word: str) -> str:
    return "%" + re.sub(r"([/%_])", r"/\1", word) + "%"
