"""Connections to SQLite whose caller may be cancelled at any moment, without leaving a lock or a transaction behind.

Each connection has a thread of its own that does the work; the caller that waits for it may be cancelled, the thread
cannot. A round trip to the thread costs several times what a small statement does, so each statement makes one, and
what needs no disk makes none.

aiosqlite offers no public way to do this, so these classes use its private attributes. pyproject.toml pins the minor
version, and tests/storage/test_sqlite_driver.py checks every attribute that is used.
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
    """A cursor that fetches all rows together with executing the statement, and closes without a round trip."""

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
        if self._conn.interrupted:
            # The thread may still be executing this statement, and closing directly would wait for it.
            await super().close()
        else:
            self._cursor.close()


class SQLiteConnection(aiosqlite.Connection):
    """A connection that releases its lock when it is closed.

    SQLite keeps a closed connection, its transaction and its lock for as long as anything references one of its
    statements. An interrupted statement is referenced by the error that reports it, and all other writers would wait.
    """

    _stopped: asyncio.Future[Any] | None = None
    interrupted = False
    """A caller was cancelled while the thread was working: the thread may still be executing its statement."""

    begin_before_next_statement = False
    """A write transaction begins with the next statement, so that BEGIN costs no round trip of its own.

    BEGIN IMMEDIATE: a transaction that reads first and writes later cannot wait for another writer; it would fail at
    once.
    """

    def cursor(self) -> SQLiteCursor:  # type: ignore[override]  # SQLAlchemy only enters it, as it does the original
        return SQLiteCursor(self, self._conn.cursor())

    async def commit(self) -> None:
        if self.in_transaction:
            await super().commit()
        self.begin_before_next_statement = False

    async def rollback(self) -> None:
        self.begin_before_next_statement = False
        if self.interrupted or self.in_transaction:
            await super().rollback()

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call `work` in this connection's thread."""
        return await self._execute(work, *arguments)

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.begin_before_next_statement:
            self.begin_before_next_statement = False
            fn = partial(self._begin, fn)
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            self.interrupted = True
            raise

    def _begin(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._conn.execute("BEGIN IMMEDIATE")
        return fn(*args, **kwargs)

    async def close(self) -> None:
        if self._connection is not None and (stopped := self.stop()) is not None:
            await asyncio.shield(stopped)

    def stop(self) -> asyncio.Future[Any] | None:
        """Roll back and close without waiting; the future is done when the thread has ended."""
        if self._stopped is None:
            if self._connection is not None:
                self._tx.put_nowait((None, self._connection.rollback))
            self._stopped = super().stop()
        return self._stopped


async def connect(path: str, **options: Any) -> SQLiteConnection:
    """Open a file.

    A cancelled caller still waits until the file is open and closed again, because the event loop may end soon after.
    """
    connection = SQLiteConnection(partial(sqlite3.connect, path, **options), _FETCH_SIZE)
    connection._thread.daemon = True  # must not keep the process alive
    opening = asyncio.ensure_future(connection)
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(sqlite3.Error):
            await opening
            await connection.close()
        raise
    return connection
