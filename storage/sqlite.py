"""Connections to SQLite that may be cut off at any moment and leave nothing behind.

Each has a thread of its own that does the work; whoever waits for it may be cancelled, the thread cannot.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from functools import partial
from typing import Any

import aiosqlite

_ROWS_AT_ONCE = 64


class SQLiteConnection(aiosqlite.Connection):
    """A connection that gives its lock back when it is closed.

    SQLite keeps a closed connection, its transaction and its lock for as long as anybody remembers one of its
    statements. A statement that was cut off is remembered by the error that tells of it, and all others would wait.
    """

    _ended: asyncio.Future[Any] | None = None

    async def close(self) -> None:
        if self._connection is not None and (ended := self.stop()) is not None:
            await asyncio.shield(ended)

    def stop(self) -> asyncio.Future[Any] | None:
        """Close without waiting; gives what can be waited for."""
        if self._ended is None:
            if self._connection is not None:
                self._tx.put_nowait((None, self._connection.rollback))
            self._ended = super().stop()
        return self._ended


async def connect(path: str, **options: Any) -> SQLiteConnection:
    """Open a file. Who is cancelled waits until it is open and closed again: the loop may be gone soon after."""
    connection = SQLiteConnection(partial(sqlite3.connect, path, **options), _ROWS_AT_ONCE)
    connection._thread.daemon = True  # no reason for a process not to end
    opening = asyncio.ensure_future(connection)
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(sqlite3.Error):
            await opening
            await connection.close()
        raise
    return connection
