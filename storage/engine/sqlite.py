"""Connections to SQLite that may be cut off at any moment and leave nothing behind.

Each has a thread of its own that does the work; whoever waits for it may be cancelled, the thread cannot. A way to
the thread and back costs several times what a small statement does, so each statement makes one, and what needs no
disk makes none.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import aiosqlite

_FETCH_SIZE = 64


class SQLiteCursor(aiosqlite.Cursor):
    """A statement's rows come with it, and forgetting them is no work."""

    _conn: SQLiteConnection
    _rows: list[Any]

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> SQLiteCursor:
        self._rows = await self._conn.run(self._run, sql, () if parameters is None else parameters)
        return self

    def _run(self, sql: str, parameters: Any) -> list[Any]:
        self._cursor.execute(sql, parameters)
        return self._cursor.fetchall() if self._cursor.description else []

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        if (
            self._conn.cut_off
        ):  # the thread may be in the middle of it, and closing would wait for it
            await super().close()
        else:
            self._cursor.close()


class SQLiteConnection(aiosqlite.Connection):
    """A connection that gives its lock back when it is closed.

    SQLite keeps a closed connection, its transaction and its lock for as long as anybody remembers one of its
    statements. A statement that was cut off is remembered by the error that tells of it, and all others would wait.
    """

    _ended: asyncio.Future[Any] | None = None
    cut_off = False
    """Somebody stopped waiting for the thread: what it is doing now nobody knows."""

    writes = False
    """A unit of writing begins with what is done next: to begin it is no way to the thread of its own.

    IMMEDIATE: a transaction that reads first and writes later cannot wait for another writer, it would fail at once.
    """

    def cursor(self) -> SQLiteCursor:  # type: ignore[override]  # only ever entered, as the original's is
        return SQLiteCursor(self, self._conn.cursor())

    async def commit(self) -> None:
        if self.in_transaction:
            await super().commit()
        self.writes = False

    async def rollback(self) -> None:
        self.writes = False
        if self.cut_off or self.in_transaction:
            await super().rollback()

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something in this connection's thread."""
        return await self._execute(work, *arguments)

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.writes:
            self.writes, fn = False, partial(self._begin, fn)
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            self.cut_off = True
            raise

    def _begin(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._conn.execute("BEGIN IMMEDIATE")
        return fn(*args, **kwargs)

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
    connection = SQLiteConnection(partial(sqlite3.connect, path, **options), _FETCH_SIZE)
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
