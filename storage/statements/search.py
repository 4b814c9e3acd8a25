"""Finds a user's chats by words, in whichever of two ways is cheaper.

A common word is found by reading the user's own chats, newest first, until a page is full. For a rare word that would
read all of them. So for users with many chats, PostgreSQL has an index of what each user may see (`passages`, which
triggers maintain), and a sample of the newest chats shows which words are rare. If the index returns many chats, the
newest are found by walking the list, otherwise by sorting all of them. The first fifty chats of each user are not
indexed and are read. SQLite has no such index and always reads.
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
from storage.statements.globs import matches_any
from storage.tables import ID, IS_LISTED, chats, messages, participants

_ID_MARK = re.compile(r"^[@#](?=[UWCG][A-Z0-9]*\d)")
"""What precedes the id of somebody or something without a name; the stored text has a mark between the two."""
ListPosition = tuple[datetime, str]
"""The position of a chat in a list: the time of its newest message, and its id."""


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How much a search reads and counts."""

    sample_size: int = 40
    """Chats, from the start of the page on, that are read to choose the search method."""
    min_sample_hits: int = 2
    """If this many chats of the sample match, walking the list finds enough of the chats that the index returns."""
    max_sampled_words: int = 8
    """Words whose rarity is measured; further words count as common."""
    max_scanned: int = 1_000
    """Newest chats that are counted, or read for words, so that a search among five thousand takes no longer."""
    max_counted: int = 100
    """Matches that are counted; above that the total is only a lower bound."""
    max_index_hits: int = 150
    """Hits that the index returns first, enough to count a hundred chats unless the words occur often in each."""

    def cap_count(self, count: int) -> tuple[int, bool]:
        """The number to show, and whether there are more."""
        return min(count, self.max_counted), count > self.max_counted


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
_INDEXED_CHAT_IDS = text(
    f"SELECT chat_id FROM passages WHERE {_PASSAGE_MATCHES}"  # noqa: S608 - constants
)
_ALL_HITS = text(
    f"""
SELECT own.chat_id, own.active_at, true AS indexed FROM participants AS own
WHERE own.team = :team AND own."user" = :user AND NOT own.away
  AND own.chat_id = ANY (ARRAY(SELECT chat_id FROM passages WHERE {_PASSAGE_MATCHES}))
UNION ALL {_UNINDEXED_CHATS}"""  # noqa: S608 - constants
)
_HITS_PER_PASSAGE = text(
    f"""
SELECT own.chat_id, own.active_at, true AS indexed FROM passages
JOIN participants AS own ON own.team = :team AND own."user" = :user AND own.chat_id = passages.chat_id AND NOT own.away
WHERE {_PASSAGE_MATCHES} UNION ALL {_UNINDEXED_CHATS}"""  # noqa: S608 - constants
)
"""Returns a chat once for each passage that matches, so that a LIMIT can end the query early."""


@dataclass(frozen=True, slots=True)
class Matches:
    """A query for those of a user's chats that contain the words."""

    source: FromClause
    """Has the columns `chat_id` and `active_at`."""
    conditions: tuple[ColumnElement[bool], ...]
    """On the source."""
    all_at_once: bool = False
    """Whether the database finds all matches before it returns the first one, so that counting them costs nothing
    more.
    """


def in_list_of(user: User) -> ColumnElement[bool]:
    """Which rows of `participants` make up the user's list."""
    return and_(
        participants.c.team == user.team,
        participants.c.user == user.id,
        IS_LISTED,
    )


def in_list_order(
    query: Select[Any],
    source: FromClause = participants,
    start: ListPosition | None = None,
    *,
    newer: bool = False,
) -> Select[Any]:
    """Orders by position, from `start` on to older chats, or with `newer` back to newer ones."""
    key = (source.c.active_at, source.c.chat_id)
    if start is not None:
        position = tuple_(literal(start[0], UtcTime), literal(start[1]))
        query = query.where(tuple_(*key) > position if newer else tuple_(*key) < position)
    return query.order_by(*(each.asc() if newer else each.desc() for each in key))


class Search:
    """The chats of a user that contain each of the words, in the title or in a message, ignoring case."""

    def __init__(
        self,
        connection: AsyncConnection,
        user: User,
        words: Sequence[str],
        limits: SearchLimits = SearchLimits(),
        channels: Sequence[str] = (),
    ) -> None:
        """`channels`: patterns of the channels whose chats are found; empty: all."""
        self._channels = channels
        self._connection = connection
        self._user = user
        self._words = list(dict.fromkeys(_ID_MARK.sub("", word) for word in words))
        self._limits = limits
        self._has_index = connection.dialect.name == "postgresql"
        self._rare_words: list[str] = []

    async def page(self, start: ListPosition | None, limit: int, *, newer: bool) -> Matches:
        """The first `limit` matches from `start` on, or with `newer` back from it; possibly with others."""
        if not (self._words and self._has_index):
            return self._by_reading()
        sample = await self._sample(start, newer=newer)
        hits = [row.chat_id for row in sample if all(row.matches)]
        if sample and sample[0].has_indexed_chats:
            sampled_words = self._words[: self._limits.max_sampled_words]
            self._rare_words = [
                word for number, word in enumerate(sampled_words) if _is_rare(sample, number)
            ]
        sample_is_everything = len(sample) < self._limits.sample_size
        if sample_is_everything or len(hits) >= limit:
            return Matches(participants, (*self._in_list(), participants.c.chat_id.in_(hits)))
        if not self._rare_words:
            return self._by_reading()
        if len(hits) >= self._limits.min_sample_hits:
            return self._by_walking_the_list(start, limit, newer=newer)
        return self._by_index(_ALL_HITS)

    async def count(self) -> tuple[int, bool]:
        """How many matches there are, and whether there may be more. Call `page` first."""
        if self._rare_words:
            return await self._count_index_hits()
        newest = self._next_chats(None, self._limits.max_scanned)
        numbers = [_count_rows(select(newest.c.chat_id))]
        if self._words:
            matching = select(newest.c.chat_id).where(
                *(self._contains(newest, word) for word in self._words)
            )
            numbers.append(_count_rows(matching.limit(self._limits.max_counted)))
        scanned, *found = (await self._connection.execute(select(*numbers))).one()
        complete = scanned < self._limits.max_scanned and all(
            number < self._limits.max_counted for number in found
        )
        return found[0] if found else scanned, not complete

    def _in_list(self) -> list[ColumnElement[bool]]:
        return [in_list_of(self._user), *self._in_channels(participants)]

    def _in_channels(self, source: FromClause) -> list[ColumnElement[bool]]:
        """The condition that a chat is listed; API chats are in no channel."""
        if not self._channels:
            return []
        names = (chats.c.channel, chats.c.team + "/" + chats.c.channel)
        dialect = self._connection.dialect.name
        listed = or_(
            chats.c.channel.is_(None),
            *(matches_any(dialect, name, self._channels) for name in names),
        )
        return [exists().where(chats.c.id == source.c.chat_id, listed)]

    async def _sample(self, start: ListPosition | None, *, newer: bool) -> list[Row[Any]]:
        """The next chats of the list, and which of the words each contains."""
        limit = self._limits.max_sampled_words
        first, others = self._words[:limit], self._words[limit:]
        next_chats = self._next_chats(start, self._limits.sample_size, newer=newer)
        matches = [self._contains(next_chats, word) for word in first]
        if others:
            matches.append(and_(*(self._contains(next_chats, word) for word in others)))
        other = participants.alias("other")
        has_indexed_chats = exists().where(
            other.c.team == self._user.team,
            other.c.user == self._user.id,
            other.c.indexed == true(),
        )
        query = select(
            next_chats.c.chat_id,
            next_chats.c.active_at,
            has_indexed_chats.label("has_indexed_chats"),
            array(matches).label("matches"),
        )
        return [*await self._connection.execute(in_list_order(query, next_chats, newer=newer))]

    def _by_reading(self) -> Matches:
        """Reads chats in list order until there are enough."""
        contains = (self._contains(participants, word) for word in self._words)
        return Matches(participants, (*self._in_list(), *contains))

    def _by_walking_the_list(
        self, start: ListPosition | None, limit: int, *, newer: bool
    ) -> Matches:
        """Walks through the list, checking the index, until there are enough for the page and the count."""
        query = select(participants.c.chat_id, participants.c.active_at).where(
            *self._in_list(),
            *(self._contains_rare(word, number) for number, word in enumerate(self._rare_words)),
            *self._contains_common(participants),
        )
        enough = max(limit, self._limits.max_counted + 1)
        query = in_list_order(query, start=start, newer=newer).limit(enough)
        return Matches(query.cte("found").prefix_with("MATERIALIZED"), (), all_at_once=True)

    def _by_index(self, statement: TextClause) -> Matches:
        """Asks the index for the chats with the rare words, and searches those for the other words."""
        source, *others = [
            self._index_hits(statement, word, number)
            for number, word in enumerate(self._rare_words)
        ]
        in_others = [source.c.chat_id.in_(select(other.c.chat_id)) for other in others]
        conditions = (*in_others, *self._in_channels(source), *self._contains_common(source))
        return Matches(source, conditions, all_at_once=True)

    async def _count_index_hits(self) -> tuple[int, bool]:
        matches = self._by_index(_HITS_PER_PASSAGE)
        for limit in (self._limits.max_index_hits, None):
            chat_ids = select(matches.source.c.chat_id).where(*matches.conditions)
            hits = chat_ids.limit(limit).subquery()
            query = select(func.count(hits.c.chat_id.distinct()), func.count()).select_from(hits)
            chats_found, hits_found = (await self._connection.execute(query)).one()
            if chats_found > self._limits.max_counted or hits_found != limit:
                break
        return self._limits.cap_count(chats_found)

    def _index_hits(self, statement: TextClause, word: str, number: int) -> CTE:
        query = self._bind(statement, word).columns(chat_id=ID, active_at=UtcTime, indexed=Boolean)
        return query.cte(f"found_{number}").prefix_with("MATERIALIZED")

    def _bind(self, statement: TextClause, word: str) -> TextClause:
        values = {
            "word": word,
            "pattern": _like_pattern(word),
            "team": self._user.team,
            "user": self._user.id,
        }
        return statement.bindparams(
            *(bindparam(name, value, SafeText, unique=True) for name, value in values.items())
        )

    def _next_chats(
        self, start: ListPosition | None, limit: int, *, newer: bool = False
    ) -> FromClause:
        columns = (participants.c.chat_id, participants.c.active_at, participants.c.indexed)
        query = select(*columns).where(*self._in_list())
        return in_list_order(query, start=start, newer=newer).limit(limit).subquery()

    def _contains_rare(self, word: str, number: int) -> ColumnElement[bool]:
        """Whether the index returns the chat, or it is one of the few unindexed chats and contains the word."""
        named = (
            self._bind(_INDEXED_CHAT_IDS, word)
            .columns(chat_id=ID)
            .cte(f"named_{number}")
            .prefix_with("MATERIALIZED")
        )
        unindexed = participants.alias("unindexed")
        unindexed_ids = select(unindexed.c.chat_id).where(
            unindexed.c.team == self._user.team,
            unindexed.c.user == self._user.id,
            not_(unindexed.c.away),
            not_(unindexed.c.indexed),
        )
        chat_id = participants.c.chat_id
        read = and_(chat_id.in_(unindexed_ids), self._text_contains(participants, word))
        return or_(chat_id.in_(select(named.c.chat_id)), read)

    def _contains_common(self, source: FromClause) -> list[ColumnElement[bool]]:
        return [
            self._contains(source, word) for word in self._words if word not in self._rare_words
        ]

    def _contains(self, source: FromClause, word: str) -> ColumnElement[bool]:
        """Whether the chat contains the word, according to its passages if it is indexed."""
        if not self._has_index:
            return self._text_contains(source, word)
        matching = and_(
            _passages.c.team == self._user.team,
            _passages.c.user == self._user.id,
            _passages.c.chat_id == source.c.chat_id,
            _passages.c.text.like(func.lower(literal(_like_pattern(word), SafeText)), escape="/"),
        )
        passage = select(_passages.c.number).where(matching).limit(1).scalar_subquery()
        return case(
            (source.c.indexed, passage.is_not(None)), else_=self._text_contains(source, word)
        )

    def _text_contains(self, source: FromClause, word: str) -> ColumnElement[bool]:
        """Whether a message or the title contains the word.

        Messages first: they usually contain a common word, and then the chat itself need not be read.
        """
        pattern = literal(_like_pattern(word), SafeText)
        message_matches = and_(
            messages.c.chat_id == source.c.chat_id, messages.c.text.ilike(pattern, escape="/")
        )
        title_matches = and_(
            chats.c.id == source.c.chat_id, chats.c.title.ilike(pattern, escape="/")
        )
        # Not EXISTS: PostgreSQL would sometimes read all messages once instead of those of each chat.
        message = select(messages.c.number).where(message_matches).limit(1).scalar_subquery()
        title = (
            select(literal(1)).select_from(chats).where(title_matches).limit(1).scalar_subquery()
        )
        return or_(message.is_not(None), title.is_not(None))


def _is_rare(sample: Sequence[Row[Any]], word_number: int) -> bool:
    """Whether fewer than half of the sampled chats contain this word, so that the index finds it faster."""
    containing = [row for row in sample if row.matches[word_number]]
    return 2 * len(containing) < len(sample)


def _count_rows(query: Select[Any]) -> ScalarSelect[int]:
    return select(func.count()).select_from(query.subquery()).scalar_subquery()


def _like_pattern(word: str) -> str:
    return "%" + re.sub(r"([/%_])", r"/\1", word) + "%"
