"""storage/engine/sqlite.py builds on private attributes of aiosqlite: each is checked against the installed version."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import aiosqlite
import pytest

from storage.engine.sqlite import SQLiteConnection, SQLiteCursor, connect
from tests.deadlines import WAIT_TIMEOUT


async def open_connection(path: Path) -> SQLiteConnection:
    """Opened with the options that SQLAlchemy passes."""
    return await connect(str(path), lock_timeout=0.0, check_same_thread=False)


async def test_aiosqlite_has_the_private_attributes_that_the_driver_uses(tmp_path: Path) -> None:
    assert aiosqlite.__version__.startswith("0.22."), "check storage/engine/sqlite.py first"
    connection = await open_connection(tmp_path / "file")
    assert isinstance(connection._conn, sqlite3.Connection)
    assert isinstance(connection._connection, sqlite3.Connection)
    assert isinstance(connection._thread, threading.Thread)
    assert isinstance(connection._tx, SimpleQueue)
    assert await aiosqlite.Connection._execute(connection, lambda: 7) == 7  # type: ignore[no-untyped-call]
    cursor = connection.cursor()
    assert isinstance(cursor._cursor, sqlite3.Cursor)
    assert cursor._conn is connection
    await connection.close()


async def test_statements_run_in_the_connections_own_daemon_thread(tmp_path: Path) -> None:
    connection = await open_connection(tmp_path / "file")
    assert await connection.run(threading.current_thread) is connection._thread
    assert connection._thread.daemon
    await connection.close()
    connection._thread.join(WAIT_TIMEOUT)
    assert not connection._thread.is_alive()


def test_a_file_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    """A thread that is still at work when the event loop has ended fails, which nobody sees but the test."""
    before = set(threading.enumerate())
    for _ in range(50):
        with pytest.raises(sqlite3.OperationalError):
            asyncio.run(open_connection(tmp_path))
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_TIMEOUT)  # the last one may have reported its end and be about to end
        assert not thread.is_alive()


async def test_a_statement_brings_its_rows_and_closing_its_cursor_makes_no_round_trip(
    tmp_path: Path,
) -> None:
    connection = await open_connection(tmp_path / "file")
    cursor = await connection.cursor().execute("SELECT 1 UNION SELECT 2")
    assert isinstance(cursor, SQLiteCursor)
    assert await cursor.fetchall() == [(1,), (2,)]
    gate = threading.Event()
    blocked = asyncio.ensure_future(connection.run(gate.wait))
    await cursor.close()  # the thread is busy and is not asked
    gate.set()
    await blocked
    with pytest.raises(sqlite3.ProgrammingError):
        cursor._cursor.execute("SELECT 1")
    await connection.close()


async def test_a_write_transaction_begins_with_its_first_statement(tmp_path: Path) -> None:
    connection = await open_connection(tmp_path / "file")
    connection.begin_before_next_statement = True
    await connection.commit()  # nothing was written, so nothing has begun
    assert not connection.begin_before_next_statement
    assert not connection.in_transaction
    connection.begin_before_next_statement = True
    await connection.cursor().execute("CREATE TABLE t (x)")
    assert connection.in_transaction
    await connection.rollback()
    assert not connection.in_transaction
    await connection.close()


async def test_closing_after_an_interrupted_statement_releases_the_write_lock(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    connection = await open_connection(path)
    await connection.cursor().execute("CREATE TABLE t (x)")
    gate = threading.Event()
    connection.begin_before_next_statement = True
    await connection.cursor().execute("INSERT INTO t VALUES (1)")
    statement = asyncio.ensure_future(connection.run(gate.wait))
    await asyncio.sleep(0)
    statement.cancel()
    with pytest.raises(asyncio.CancelledError):
        await statement
    assert connection.interrupted
    closing = asyncio.ensure_future(connection.close())
    gate.set()
    await closing
    other = await open_connection(path)
    other.begin_before_next_statement = True
    await other.cursor().execute("INSERT INTO t VALUES (2)")
    await other.commit()
    rows = await (await other.cursor().execute("SELECT x FROM t")).fetchall()
    assert rows == [(2,)]
    await other.close()


async def test_a_cancelled_opening_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    opening = asyncio.ensure_future(open_connection(tmp_path / "file"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_TIMEOUT)
    assert set(threading.enumerate()) <= before


async def cancel_often(task: asyncio.Task[Any]) -> None:
    """As the end of the tasks' owner and then that of the event loop do."""
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()


async def test_an_opening_that_is_cancelled_again_while_the_file_is_locked_leaves_no_thread(
    tmp_path: Path,
) -> None:
    before = set(threading.enumerate())
    writer = sqlite3.connect(tmp_path / "file", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    opening = asyncio.ensure_future(connect(str(tmp_path / "file"), lock_timeout=WAIT_TIMEOUT))
    await cancel_often(opening)
    await asyncio.sleep(0)
    assert not opening.done()
    writer.close()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_TIMEOUT)
    assert set(threading.enumerate()) <= before


async def test_a_closing_that_is_cancelled_again_still_waits_for_the_thread(tmp_path: Path) -> None:
    connection = await open_connection(tmp_path / "file")
    gate = threading.Event()
    working = asyncio.ensure_future(connection.run(gate.wait))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(connection.close())
    await cancel_often(closing)
    await asyncio.sleep(0)
    assert not closing.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await working
    connection._thread.join(WAIT_TIMEOUT)
    assert not connection._thread.is_alive()


def test_an_event_loop_that_ends_amid_an_opening_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    async def begin() -> None:
        opening.append(asyncio.ensure_future(open_connection(tmp_path / "file")))
        await asyncio.sleep(0)

    opening: list[asyncio.Task[Any]] = []
    asyncio.run(begin())
    assert opening[0].cancelled()
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT_TIMEOUT)
    assert set(threading.enumerate()) <= before


def test_the_drivers_classes_are_aiosqlites() -> None:
    assert issubclass(SQLiteConnection, aiosqlite.Connection)
    assert issubclass(SQLiteCursor, aiosqlite.Cursor)
