"""Whose words a continuation or branch has from the chat before it, where an older version did not record them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.statements.quotes import ERASED_TEXT, people_in, to_quoted
from storage.tables import chats, messages

_BEFORE = chats.alias("before")
_OF_BRANCHES = (
    select(chats.c.id, chats.c.quoted, _BEFORE.c.quoted.label("inherited"))
    .join(messages, messages.c.id == chats.c.branch_of)
    .join(_BEFORE, _BEFORE.c.id == messages.c.chat_id)
    .where(
        chats.c.quoted.is_(None),
        _BEFORE.c.quoted.is_not(None),
        chats.c.context == _BEFORE.c.context,  # else one of them has been erased
    )
)
_SUMMARISED = chats.c.context.is_not(None), chats.c.context != ERASED_TEXT
_OF_CONTEXTS = (
    select(chats.c.id, chats.c.quoted, _BEFORE.c.quoted.label("inherited"))
    .join(_BEFORE, _BEFORE.c.id == chats.c.continues)
    .where(_BEFORE.c.quoted.is_not(None), *_SUMMARISED)
)
_OF_QUESTIONS = (
    select(chats.c.id, chats.c.quoted, messages.c.quoted.label("inherited"))
    .join(messages, messages.c.chat_id == chats.c.continues)
    .where(messages.c.quoted.is_not(None), *_SUMMARISED)
)
_INHERITED: Iterable[Select[Any]] = (_OF_BRANCHES, _OF_CONTEXTS, _OF_QUESTIONS)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A chat that does not name everybody whose words it has."""

    id: str
    quoted: str | None
    """What it names."""
    complete: str | None


async def find_incomplete(connection: AsyncConnection, limit: int) -> list[Incomplete]:
    """Some of these chats. Once they are completed, those that follow them may be found."""
    named: dict[str, str | None] = {}
    inherited: dict[str, set[str]] = {}
    for query in _INHERITED:
        for row in await connection.execute(query):
            named[row.id] = row.quoted
            inherited.setdefault(row.id, people_in(row.quoted)).update(people_in(row.inherited))
    found = [
        Incomplete(id, named[id], to_quoted(people))
        for id, people in inherited.items()
        if people != people_in(named[id])
    ]
    return found[:limit]


async def complete(connection: AsyncConnection, incomplete: Iterable[Incomplete]) -> None:
    """Names the others too, unless the chat has changed meanwhile."""
    for each in incomplete:
        unchanged = (
            chats.c.id == each.id,
            chats.c.quoted.is_not_distinct_from(each.quoted),
            chats.c.context != ERASED_TEXT,
        )
        await connection.execute(update(chats).where(*unchanged).values(quoted=each.complete))
