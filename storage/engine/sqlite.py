"""Connections to SQLite whose caller may be cancelled at any moment, without leaving a lock or a transaction behind.

Each connection has its own thread that does the work; the caller that waits for it may be cancelled, the thread cannot.
A round trip to the thread costs several times as much as a small statement, so each statement makes only one, and
operations that need no disk make none.

aiosqlite offers no public way to do this, so these classes use its private attributes. pyproject.toml pins the minor
version, and tests/storage/test_sqlite_driver.py checks every attribute that is used.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import aiosqlite
from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_FETCH_SIZE = 64

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -512",  # KiB per connection; the operating system caches the file once for all of them
)


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
    statements. The error that reports an interrupted statement references it, and all other writers would wait.
    """

    limit: float | None = None
    """Seconds after which a statement is interrupted; None for connections that write."""

    _stopped: asyncio.Future[Any] | None = None
    interrupted = False
    """Whether a caller was cancelled while the thread was working, so that the thread may still be executing its
    statement.
    """

    begin_before_next_statement = False
    """A write transaction begins with the next statement, so that BEGIN costs no separate round trip.

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
        """Calls `work` in this connection's thread."""
        return await self._execute(work, *arguments)

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.begin_before_next_statement:
            self.begin_before_next_statement = False
            fn = partial(self._begin, fn)
        ending = self._interrupt_later()
        try:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            self.interrupted = True
            if ending is not None:
                self._conn.interrupt()
            raise
        finally:
            if ending is not None:
                ending.cancel()

    def _interrupt_later(self) -> asyncio.TimerHandle | None:
        """Interrupts the work that the thread begins now if it takes too long. A writing statement is never
        interrupted.
        """
        if self.limit is None or self._connection is None:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(self.limit, self._connection.interrupt)

    def _begin(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._conn.execute("BEGIN IMMEDIATE")
        return fn(*args, **kwargs)

    async def close(self) -> None:
        if self._connection is not None:
            self.stop()
        if self._stopped is not None:
            await _whole(self._stopped)

    def stop(self) -> asyncio.Future[Any] | None:
        """Rolls back and closes without waiting; the future is done when the thread has ended."""
        if self._stopped is None:
            if self._connection is not None:
                self._tx.put_nowait((None, self._connection.rollback))
            self._stopped = super().stop()
        return self._stopped


def open_file(path: str, lock_timeout: float, **options: Any) -> sqlite3.Connection:
    """Opens a file and sets up the connection. Blocks.

    The driver begins no transactions itself. `lock_timeout`: seconds to wait for another process that writes.
    """
    options |= {"timeout": lock_timeout, "isolation_level": None}
    connection: sqlite3.Connection = sqlite3.connect(path, **options)
    try:
        for pragma in _PRAGMAS:
            _execute_when_free(connection, pragma, lock_timeout)
    except sqlite3.Error:
        connection.close()
        raise
    # SQLite's own lower() only handles ASCII; searches ignore case in every script.
    connection.create_function("lower", 1, _lower, deterministic=True)
    return connection


async def connect(
    path: str, *, lock_timeout: float, limit: float | None = None, **options: Any
) -> SQLiteConnection:
    """Opens a file.

    A caller that is cancelled, however often, still waits until the file has been opened and closed again. If the file
    cannot be opened, every caller waits until the thread no longer needs the event loop, which may end soon after.
    """
    opener = partial(open_file, path, lock_timeout, **options)
    connection = SQLiteConnection(opener, _FETCH_SIZE)
    connection._thread.daemon = True  # must not keep the process alive
    connection._thread.start()
    opened: asyncio.Future[sqlite3.Connection] = asyncio.get_running_loop().create_future()
    connection._tx.put_nowait((opened, opener))
    try:
        await _whole(opened)
    except (asyncio.CancelledError, sqlite3.Error):
        if opened.exception() is None:
            connection._connection = opened.result()
        connection.stop()
        await connection.close()
        raise
    connection._connection = opened.result()
    connection.limit = limit
    return connection


def create_engine(url: URL, pool_size: int, limit: float, *, writing: bool = False) -> AsyncEngine:
    """A pool of connections to a file, each with its own thread.

    `limit`: seconds to wait for another process that writes, for a connection to become free, and, unless `writing`,
    for a statement. `writing`: each transaction takes the file's write lock. SQLite allows one writer, so such a pool
    has one connection; queueing for it is fairer and faster than SQLite's own sleeping and polling.
    """
    open_one = partial(connect, lock_timeout=limit, limit=None if writing else limit)
    engine = create_async_engine(
        url,
        hide_parameters=True,  # keeps message text out of errors and logs
        pool_size=pool_size,
        # An overflow connection is closed as soon as it is free, so a rush of events would open one for each.
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=limit,
        connect_args={"async_creator_fn": open_one},
    )
    if writing:
        event.listen(engine.sync_engine, "begin", _begin)
    return engine


async def _whole(answer: asyncio.Future[Any]) -> None:
    """Waits for a thread's result, however often the caller is cancelled meanwhile; then raises the cancellation or the
    failure.

    The end of an event loop cancels tasks until they end; a thread that responded later would find the loop closed.
    """
    cancelled: asyncio.CancelledError | None = None
    while not answer.done():
        try:
            await asyncio.wait([answer])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    answer.result()


def _execute_when_free(connection: sqlite3.Connection, pragma: str, lock_timeout: float) -> None:
    """Retries while the database is busy: changing the journal mode upgrades a read lock, and SQLite does not wait for
    that.

    Nor does it wait while several processes create a new file's journal at once.
    """
    deadline = time.monotonic() + lock_timeout
    while True:
        try:
            connection.execute(pragma).close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.005, 0.03))  # only while a new file is being created


def _begin(connection: Connection) -> None:
    driver = connection.connection.driver_connection
    if isinstance(driver, SQLiteConnection):
        driver.begin_before_next_statement = True


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
