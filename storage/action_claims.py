"""Claims on actions that only one replica may carry out: handling a press, telling a user something once.

A row of `done_once` says that an action was done, or that a process is doing it, and until when the row counts:

    unclaimed ──claim──▶ claimed, for seconds ──keep──▶ done, for a day
        ▲                      │
        └──────────────────────┘ release, or the claim expired because its process ended

Answers (`storage.statements.answer_lifecycle`) and chores (`storage.chores`) are claimed in their own rows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from bot.errors import StorageError
from storage.engine.database import Database
from storage.engine.types import database_time, new_id
from storage.statements.queries import dialect_insert
from storage.tables import done_once

DONE_TTL = 90_000.0
"""Seconds for which a completed action is remembered: longer than the day during which Slack may redeliver an event."""
RENEWALS = 4
"""How often a claim is renewed during its lifetime."""
LOOKS = 12
"""How often somebody else's claim is looked at, in twice the time that it lasts; at first more often."""
FORGET_BATCH = 1_000
"""Rows deleted in one transaction."""


class Turn(Enum):
    """Who may do an action."""

    MINE = auto()
    """The caller: nobody has done it, and nobody alive is doing it."""
    DONE = auto()
    """Nobody: it is done."""
    BUSY = auto()
    """Somebody is still doing it."""


class ActionClaims:
    """The repository of claimed and completed actions. `what` identifies an action; every method raises StorageError.

    A claim that has lapsed and was then made by another process is neither kept nor released here.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = new_id()
        self._in_progress: set[str] = set()
        """Keys of the claims that this process is renewing."""

    async def claim(self, *what: str, seconds: float) -> bool:
        """Whether the caller got the action: nobody has done it or is doing it. The claim lasts for `seconds`.

        What this process is doing is not claimed again, even if the database did not take a renewal in time.
        """
        key, until = _key(what), database_time(seconds)
        if key in self._in_progress:
            return False
        async with self._database.begin() as connection:
            insert = dialect_insert(connection, done_once)
            claimed = await connection.scalar(
                insert.values(key=key, kept_until=until, owner=self._owner)
                .on_conflict_do_update(
                    index_elements=["key"],
                    set_={"kept_until": until, "owner": self._owner},
                    where=done_once.c.kept_until <= database_time(),
                )
                .returning(done_once.c.key)
            )
            return claimed is not None

    async def turn(self, *what: str, seconds: float) -> Turn:
        """Claims the action, or waits until whoever holds it has done it, or is known to be dead since their claim
        expires. All callers give the same `seconds`.
        """
        for look in range(LOOKS):
            if await self.claim(*what, seconds=seconds):
                return Turn.MINE
            if await self.is_done(*what, seconds=seconds):
                return Turn.DONE
            await asyncio.sleep(seconds * look / 33)
        return Turn.BUSY

    async def is_done(self, *what: str, seconds: float) -> bool:
        """Whether the row lasts longer than a claim of so many `seconds` does."""
        is_done = and_(
            done_once.c.key == _key(what), done_once.c.kept_until > database_time(seconds)
        )
        async with self._database.read() as connection:
            found = await connection.execute(select(done_once.c.key).where(is_done))
            return found.first() is not None

    async def keep(self, *what: str, seconds: float = DONE_TTL) -> None:
        """Records that the action is done; other `seconds` make the claim last that long from now on."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(done_once)
                .where(self._is_own(what))
                .values(kept_until=database_time(seconds))
            )

    async def release(self, *what: str) -> None:
        """Gives up the claim: the next caller may do the action."""
        async with self._database.begin() as connection:
            await connection.execute(delete(done_once).where(self._is_own(what)))

    def _is_own(self, what: tuple[str, ...]) -> ColumnElement[bool]:
        owner = done_once.c.owner
        return and_(done_once.c.key == _key(what), or_(owner == self._owner, owner.is_(None)))

    @asynccontextmanager
    async def renewing(self, *what: str, seconds: float) -> AsyncIterator[None]:
        """Keeps a claim while the block runs, always for another `seconds`: it lapses that soon after the process is
        killed.
        """
        key = _key(what)
        self._in_progress.add(key)
        renewal = asyncio.create_task(self._renew(what, seconds), name="claim")
        try:
            yield
        finally:
            self._in_progress.discard(key)
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)

    async def _renew(self, what: tuple[str, ...], seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds / RENEWALS)
            with suppress(StorageError):  # the next renewal may be in time
                await self.keep(*what, seconds=seconds)

    @asynccontextmanager
    async def alone(self, *what: str, seconds: float) -> AsyncIterator[bool]:
        """Claims the action for the block, which may do it if the value is True; afterwards anybody may do it.

        Or `seconds` after the process was killed.
        """
        if not await self.claim(*what, seconds=seconds):
            yield False
            return
        try:
            async with self.renewing(*what, seconds=seconds):
                yield True
        finally:
            with suppress(StorageError):  # then the claim expires
                await self.release(*what)

    @asynccontextmanager
    async def attempt(self, *what: str, seconds: float) -> AsyncIterator[Turn]:
        """Waits for the `turn`; the block does the action if it is the caller's. If the block raises, the claim is
        released, and nothing is done.
        """
        turn = await self.turn(*what, seconds=seconds)
        if turn is not Turn.MINE:
            yield turn
            return
        try:
            async with self.renewing(*what, seconds=seconds):
                yield turn
        except BaseException:
            with suppress(StorageError):  # then the claim expires
                await self.release(*what)
            raise
        await self.keep(*what)

    async def forget_old(self) -> None:
        """Deletes expired rows, a limited number in one transaction."""
        old = (
            select(done_once.c.key)
            .where(done_once.c.kept_until <= database_time())
            .limit(FORGET_BATCH)
        )
        deleted = FORGET_BATCH
        while deleted == FORGET_BATCH:
            async with self._database.begin() as connection:
                done = await connection.execute(delete(done_once).where(done_once.c.key.in_(old)))
            deleted = done.rowcount


def _key(what: tuple[str, ...]) -> str:
    """The action as a digest of 64 characters, so that no id is too long."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
