"""Chores: what is left to do for an answer besides its text. Each is a row until it is done.

    added --claim--> being done --complete--> (no row)
      ^                 |
      +----postpone-----+   or the claim lapses, because its process died

`due_at` is when a chore may be claimed: by anyone, so it is the end of the claim while a process does the chore.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Subquery,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    union,
    update,
)

from bot.domain.chores import Chore
from storage.engine.database import Database
from storage.engine.types import database_time
from storage.served_teams import Serves, every_team
from storage.statements.chores import add_chores
from storage.tables import answers, chats, chores

_KNOWN = chores.c.kind.in_(list(Chore))
"""A newer version running beside this one may have stored other kinds."""
_KEY = (chores.c.message_id, chores.c.kind)
_ADDED_AGAIN = chores.c.tries == 0
"""The chore starts over. Once claimed, it has been tried."""
_DUE = and_(chores.c.due_at <= database_time(), _KNOWN)


@dataclass(frozen=True, slots=True)
class ClaimedChore:
    """A chore that this process is doing."""

    answer_id: str
    chore: Chore
    tries: int
    """How often it has been claimed, including this time."""


@dataclass(frozen=True, slots=True)
class DueAnswer:
    """An answer with chores that are due."""

    id: str
    team: str
    """The workspace of its chat."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many answers of one workspace may have chores in progress."""

    places: int
    """Including those already in progress."""
    begun: int
    """Started at the same time."""


class Chores:
    """The repository of chores. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database, serves: Serves = every_team) -> None:
        """`serves`: the workspaces whose chores this process looks for."""
        self._database = database
        self._serves = serves

    async def claim(
        self,
        answer_id: str,
        seconds: float,
        worker_id: str | None = None,
        only: Chore | None = None,
    ) -> list[ClaimedChore]:
        """Claims the due chores of an answer. For `seconds` nobody else gets them, unless the worker is dead.

        `only`: just this chore. It waits for no other transaction: rows that another one is changing are left for
        later.
        """
        due = and_(chores.c.message_id == answer_id, _DUE)
        if only is not None:
            due = and_(due, chores.c.kind == only)
        free = select(chores.c.kind).where(due).with_for_update(skip_locked=True)
        query = (
            update(chores)
            .where(due, chores.c.kind.in_(free))
            .values(due_at=database_time(seconds), tries=chores.c.tries + 1, worker=worker_id)
            .returning(chores.c.kind, chores.c.tries)
        )
        async with self._database.begin() as connection:
            rows = await connection.execute(query)
            return [ClaimedChore(answer_id, Chore(row.kind), row.tries) for row in rows]

    async def complete(
        self,
        claimed: ClaimedChore,
        then: Mapping[Chore, float] | None = None,
        again: float = 0.0,
    ) -> None:
        """The chore is done; `then` are the chores that follow from it, with the seconds until each is due.

        `again`: if it was added again while it was being done, anybody may claim it after this many seconds.
        """
        added_again = update(chores).where(_key_is(claimed), _ADDED_AGAIN)
        async with self._database.begin() as connection:
            await add_chores(connection, claimed.answer_id, then or {})
            if not (await connection.execute(delete(chores).where(_is(claimed)))).rowcount:
                await connection.execute(
                    added_again.values(due_at=database_time(again), worker=null())
                )

    async def postpone(
        self, claimed: ClaimedChore, seconds: float, *, counted: bool = True
    ) -> None:
        """The chore may be claimed again after `seconds`. `counted`: whether this was another attempt."""
        tried = claimed.tries if counted else claimed.tries - 1
        tries = case((_ADDED_AGAIN, 0), else_=tried)
        query = update(chores).where(_key_is(claimed), or_(_is(claimed), _ADDED_AGAIN))
        async with self._database.begin() as connection:
            await connection.execute(
                query.values(due_at=database_time(seconds), tries=tries, worker=null())
            )

    async def unclaim(
        self, claims: Collection[ClaimedChore], seconds: Mapping[Chore, float]
    ) -> None:
        """Lets anybody claim these chores: immediately, or after the `seconds` for their kind. One statement.

        Like `claim` it waits for no other transaction: for rows that another one is changing, the claim lapses.
        """
        keys = [(each.answer_id, each.chore, each.tries) for each in claims]
        held = tuple_(*_KEY, chores.c.tries).in_(keys)
        free = select(*_KEY).where(held).with_for_update(skip_locked=True)
        given = update(chores).where(held, tuple_(*_KEY).in_(free))
        async with self._database.begin() as connection:
            await connection.execute(given.values(due_at=_due_after(seconds), worker=null()))

    async def is_left(self, answer_id: str, chore: Chore) -> bool:
        """Whether the chore is not done yet."""
        query = exists().where(chores.c.message_id == answer_id, chores.c.kind == chore)
        async with self._database.read() as connection:
            return bool(await connection.scalar(select(query)))

    async def worker_ids(self) -> frozenset[str]:
        """The workers that are doing chores, or were when they ended."""
        query = select(chores.c.worker).where(chores.c.worker.is_not(None)).distinct()
        async with self._database.read() as connection:
            return frozenset(await connection.scalars(query))

    async def release(
        self,
        worker_id: str,
        seconds: Mapping[Chore, float],
        *,
        answer_id: str | None = None,
        known: Collection[Chore] = (),
    ) -> None:
        """Lets anybody claim what a dead worker was doing; `seconds` as in `unclaim`.

        With an answer's id: what a living worker holds of that answer without knowing it.
        """
        held = update(chores).where(chores.c.worker == worker_id)
        if answer_id is not None:
            held = held.where(chores.c.message_id == answer_id, chores.c.kind.not_in(known))
        async with self._database.begin() as connection:
            await connection.execute(held.values(due_at=_due_after(seconds), worker=null()))

    async def show_again(self, answer_id: str) -> str | None:
        """Lets any worker write an ended answer into its messages once more; returns the id of its chat, if it has
        ended.
        """
        query = (
            update(answers)
            .where(answers.c.message_id == answer_id, answers.c.state == "ended")
            .values(state="showing", owner=null(), lease_until=database_time())
            .returning(answers.c.chat_id)
        )
        async with self._database.begin() as connection:
            chat_id: str | None = await connection.scalar(query)
            return chat_id

    async def forget_leftovers(self, answer_id: str, deleted: Collection[str]) -> None:
        """Records that these leftovers (ts) of an ended answer are deleted. What a retry has changed since stays."""
        ended = and_(answers.c.message_id == answer_id, answers.c.state == "ended")
        stored = select(answers.c.parts).where(ended).with_for_update()
        async with self._database.begin() as connection:
            parts = await connection.scalar(stored) or []
            kept = [part for part in parts if not (part.get("leftover") and part["ts"] in deleted)]
            await connection.execute(update(answers).where(ended).values(parts=kept))

    async def due(
        self, limit: int, share: Share, places: Mapping[str, int], unconfirmed: Collection[str] = ()
    ) -> list[DueAnswer]:
        """Answers with due chores, within each workspace's share.

        `places`: how many each workspace (team) already has in progress. Workspaces with the fewest come first, and
        within a workspace the answers that have waited longest, so a workspace with a long queue delays no other.
        `unconfirmed`: answers whose chores count as due, because the caller may have claimed them without learning of
        it.
        """
        queue = _queue_of_each_team(self._serves, unconfirmed)
        taken = case(places, value=queue.c.team, else_=0) if places else literal(0)
        place = queue.c.position + taken
        allowed = and_(place <= share.places, queue.c.position <= share.begun)
        query = select(queue.c.message_id, queue.c.team).where(allowed)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(place, queue.c.since).limit(limit))
            return [DueAnswer(row.message_id, row.team) for row in rows]


def _queue_of_each_team(serves: Serves, unconfirmed: Collection[str]) -> Subquery:
    """The answers with due chores, since when they have been waiting, and their positions (from 1) within their
    team.
    """
    due = _due_or_unconfirmed(unconfirmed)
    since = func.min(due.c.due_at)
    position = func.row_number().over(partition_by=chats.c.team, order_by=since)
    return (
        select(due.c.message_id, chats.c.team, since.label("since"), position.label("position"))
        .join(answers, answers.c.message_id == due.c.message_id)
        .join(chats, chats.c.id == answers.c.chat_id)
        .where(serves(chats.c.team))
        .group_by(due.c.message_id, chats.c.team)
        .subquery()
    )


def _due_or_unconfirmed(unconfirmed: Collection[str]) -> CTE:
    """Found before they are grouped, and each kind separately; otherwise SQLite would read all chores."""
    rows = select(chores.c.message_id, chores.c.due_at)
    due = [rows.where(_DUE)]
    if unconfirmed:
        due.append(rows.where(_KNOWN, chores.c.message_id.in_(unconfirmed)))
    return union(*due).cte("due").prefix_with("MATERIALIZED")


def _due_after(seconds: Mapping[Chore, float]) -> ColumnElement[Any]:
    """Now, or later for some kinds."""
    whens = [(chores.c.kind == chore, database_time(pause)) for chore, pause in seconds.items()]
    return case(*whens, else_=database_time()) if whens else database_time()


def _is(claimed: ClaimedChore) -> ColumnElement[bool]:
    """The row, if nobody has claimed or added the chore again."""
    return and_(_key_is(claimed), chores.c.tries == claimed.tries)


def _key_is(claimed: ClaimedChore) -> ColumnElement[bool]:
    return and_(chores.c.message_id == claimed.answer_id, chores.c.kind == claimed.chore)
