"""Whose words a continuation or branch has from the chat before it, where an older version did not record them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.statements.quotes import ERASED_TEXT, people_in, to_quoted
from storage.tables import chats, messages

_BEFORE = chats.alias("before")
_HAS_CONTEXT = chats.c.context.is_not(None), chats.c.context != ERASED_TEXT
_IS_SUCCESSOR = or_(chats.c.branch_of.is_not(None), chats.c.continues.is_not(None))
_OF_BRANCHES = (
    select(chats.c.id, chats.c.quoted, messages.c.chat_id.label("before"), _BEFORE.c.quoted)
    .join(messages, messages.c.id == chats.c.branch_of)
    .join(_BEFORE, _BEFORE.c.id == messages.c.chat_id)
    .where(
        chats.c.quoted.is_(None),
        chats.c.context == _BEFORE.c.context,  # else one of them has been erased
    )
)
_OF_CONTEXTS = select(
    chats.c.id, chats.c.quoted, chats.c.continues.label("before"), _BEFORE.c.quoted
).join(_BEFORE, _BEFORE.c.id == chats.c.continues)
_OF_QUESTIONS = (
    select(chats.c.id, chats.c.quoted, chats.c.continues.label("before"), messages.c.quoted)
    .join(messages, messages.c.chat_id == chats.c.continues)
    .where(messages.c.quoted.is_not(None))
)
_INHERITED: Iterable[Select[Any]] = (_OF_BRANCHES, _OF_CONTEXTS, _OF_QUESTIONS)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A chat that does not name everybody whose words it has."""

    id: str
    quoted: str | None
    """What it names."""
    complete: str | None


async def next_successors(connection: AsyncConnection, after: str, limit: int) -> list[str]:
    """Ids of the next continuations and branches that begin with a context, in order: those after `after`."""
    some = select(chats.c.id).where(_IS_SUCCESSOR, *_HAS_CONTEXT, chats.c.id > after)
    return list(await connection.scalars(some.order_by(chats.c.id).limit(limit)))


async def find_incomplete(connection: AsyncConnection, ids: Sequence[str]) -> list[Incomplete]:
    """Those of these chats that are incomplete. The chats before them must be complete, or be among them."""
    named: dict[str, str | None] = {}
    inherited: dict[str, set[str]] = defaultdict(set)
    before: dict[str, str] = {}
    for query in _INHERITED:
        for id, quoted, previous, others in await connection.execute(
            query.where(chats.c.id.in_(ids))
        ):
            named[id], before[id] = quoted, previous
            inherited[id] |= people_in(quoted) | people_in(others)
    found = []
    for id, quoted in named.items():
        people = _with_all_before(id, inherited, before)
        if people != people_in(quoted):
            found.append(Incomplete(id, quoted, to_quoted(people)))
    return found


def _with_all_before(
    id: str, inherited: dict[str, set[str]], before: dict[str, str]
) -> frozenset[str]:
    people: frozenset[str] = frozenset()
    while id in before:
        people |= inherited[id]
        id = before[id]
    return people


async def complete(connection: AsyncConnection, incomplete: Iterable[Incomplete]) -> None:
    """Names the others too, unless the chat has changed meanwhile."""
    for each in incomplete:
        unchanged = (
            chats.c.id == each.id,
            chats.c.quoted.is_not_distinct_from(each.quoted),
            chats.c.context != ERASED_TEXT,
        )
        await connection.execute(update(chats).where(*unchanged).values(quoted=each.complete))
