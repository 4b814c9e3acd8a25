"""What is done once, whichever replica comes to it first: handling a press, telling a user something.

A row says that it was done, or that a process is at it, and until when that counts:

    nobody ──claim──▶ claimed for a moment ──keep──▶ done, for a day
       ▲                      │
       └──release, or the process ended and the moment has passed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import delete, select, update

from bot.errors import StorageError
from storage.engine.database import Database
from storage.engine.types import database_time
from storage.queries import dialect_insert
from storage.tables import done_once

CLAIM_TIMEOUT = 20.0
"""Seconds after which a claim counts no more, because the process that made it has ended."""
KEPT = 90_000.0
"""Seconds for which it is known that something was done: longer than Slack delivers an event again, which is a day."""
FORGET_BATCH = 1_000
"""Rows that are deleted in one transaction."""


class Once:
    """The repository of what was done. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, *what: str, seconds: float = CLAIM_TIMEOUT) -> bool:
        """Whether the caller is to do it: nobody has done it, nor is at it. The claim lasts for `seconds`."""
        until = database_time(seconds)
        async with self._database.begin() as connection:
            insert = dialect_insert(connection, done_once)
            claimed = await connection.scalar(
                insert.values(key=_key(what), kept_until=until)
                .on_conflict_do_update(
                    index_elements=["key"],
                    set_={"kept_until": until},
                    where=done_once.c.kept_until <= database_time(),
                )
                .returning(done_once.c.key)
            )
            return claimed is not None

    async def keep(self, *what: str) -> None:
        """It is done."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(done_once)
                .where(done_once.c.key == _key(what))
                .values(kept_until=database_time(KEPT))
            )

    async def release(self, *what: str) -> None:
        """It is not done: whoever comes next may do it."""
        async with self._database.begin() as connection:
            await connection.execute(delete(done_once).where(done_once.c.key == _key(what)))

    @asynccontextmanager
    async def attempt(self, *what: str) -> AsyncIterator[bool]:
        """Claims it while the block runs, which does it if the value is True. If the block raises, it is not done."""
        claimed = await self.claim(*what)
        try:
            yield claimed
        except BaseException:
            if claimed:
                with suppress(StorageError):  # then the claim lapses by itself
                    await self.release(*what)
            raise
        if claimed:
            await self.keep(*what)

    async def forget_old(self) -> None:
        """Deletes the rows that count no more, a limited number in one transaction."""
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
    """What was done, as a digest of 64 characters, so that no id is too long."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
