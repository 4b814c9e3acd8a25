"""One database, SQLite or PostgreSQL: units of work, reads, and errors of our own."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    OperationalError,
    StatementError,
    TimeoutError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, QueuePool

from bot.errors import SettingsError, StorageError
from storage.engine.migrate import upgrade
from storage.engine.sqlite import SQLiteConnection, connect

_log = logging.getLogger(__name__)

PRAGMAS = (
    "PRAGMA busy_timeout = 30000",  # first: the others may have to wait too
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -512",  # kibibytes for each connection: the system keeps the file's pages once for all of them
)
_PREPARE_TIMEOUT = 30.0
"""Seconds, like the timeout: SQLite does not wait where several processes make a new file's journal at once."""

_IDLE_TRANSACTION_TIMEOUT = 10.0
"""Seconds after which PostgreSQL ends a transaction of somebody who does nothing in it: a machine that stands still, or
is gone without a word, would keep all others from the rows that it was just writing. Longer than a lease."""

_FORCE_CUSTOM_PLAN = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"
)
"""For what is planned anew. Compiling takes ten times as long as such a query, and is begun on a mere estimate."""

_POSTGRESQL_POOL_SIZE = 20
_SQLITE_POOL_SIZE = 4
"""One writes, the others read. Each connection to a file has a thread and three open files and compiles every statement
for itself, which takes longer than to wait for another's read."""

_CLOSE_TIMEOUT = 2.0
"""Seconds that closing waits for connections that are still in use."""


class Conflict(StorageError):
    """A value that must be unique is there already: somebody else was quicker."""


class Database:
    """A pool of connections to the database that an URL names."""

    def __init__(
        self, url: URL, *, pool_size: int, scratch: TemporaryDirectory[str] | None = None
    ) -> None:
        self._url = url
        self._scratch = scratch
        self._engine = _create_engine(url, pool_size)
        self._writing = self._engine.execution_options(writing=True)
        self._reading = self._engine
        self._urgent: AsyncEngine | None = None
        if self.dialect == "postgresql":
            self._urgent = _create_engine(url, 1)
            self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite has one writer; waiting in line here is fairer and quicker than its own sleeping and polling.
        self._turn: asyncio.Lock | None = asyncio.Lock() if self.dialect == "sqlite" else None

    @classmethod
    def open(cls, url: str, *, pool_size: int | None = None) -> Database:
        """Take `sqlite:///path`, `sqlite://` (gone with `close`) or `postgresql://…`; nothing is connected yet.

        `pool_size`: connections at most; else as many as suit that database. The folder of an SQLite file is made.
        Raises SettingsError when the URL cannot be used.
        """
        parsed = _parse(url)
        if parsed.get_backend_name() == "postgresql":
            return cls(parsed, pool_size=pool_size or _POSTGRESQL_POOL_SIZE)
        scratch = None
        if parsed.database in (None, "", ":memory:"):
            # A real file, since connections to SQLite's own memory databases share no transactions.
            scratch = TemporaryDirectory(prefix="bobbin-")
            parsed = parsed.set(database=str(Path(scratch.name) / "bobbin.db"))
        return cls(
            _create_folder(parsed), pool_size=pool_size or _SQLITE_POOL_SIZE, scratch=scratch
        )

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @asynccontextmanager
    async def begin(self, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A unit of writing: committed when the block ends well, else it leaves nothing. Not to be nested.

        `urgent`: it does not wait for a connection behind everything else, where that can take long (PostgreSQL).
        Raises Conflict when something unique is there already, StorageError for any other refusal of the database.
        """
        async with self._turn or nullcontext():
            with _translate_errors():
                async with (
                    self._urgent if urgent and self._urgent else self._writing
                ).begin() as connection:
                    yield connection

    @asynccontextmanager
    async def read(self, *, plan_anew: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection to read from. Raises StorageError.

        `plan_anew`: no plan of an earlier query is used again, since what is good for one word is bad for another.
        """
        with _translate_errors():
            if plan_anew and self.dialect == "postgresql":
                async with self._engine.begin() as connection:
                    await connection.execute(_FORCE_CUSTOM_PLAN)
                    yield connection
                return
            async with self._reading.connect() as connection:
                yield connection

    async def migrate(self, patience: float = 0.0) -> None:
        """Bring the schema to this version's newest; any number of processes may do so at once.

        A server that cannot be reached, since it is restarting, is tried again for `patience` seconds. Raises
        StorageError.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                with _translate_errors():
                    return await asyncio.to_thread(upgrade, self._url, _prepare_sqlite)
            except StorageError as error:
                unreachable = (
                    isinstance(error.__cause__, OperationalError) and self.dialect == "postgresql"
                )
                if not unreachable or time.monotonic() > deadline:
                    raise
                _log.warning("database_not_ready", extra={"reason": str(error)})
            await asyncio.sleep(1.0)

    async def ping(self) -> None:
        """Raise StorageError unless the database answers."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Waits a little for units that are just being given up, since nobody closes what comes back later."""
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        while _in_use(self._engine.pool) and time.monotonic() < deadline:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.01)
        await self._engine.dispose()
        if self._urgent is not None:
            await self._urgent.dispose()
        if self._scratch is not None:
            self._scratch.cleanup()


def _in_use(pool: Pool) -> int:
    return pool.checkedout() if isinstance(pool, QueuePool) else 0


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict("the database holds this already") from error
    except StatementError as error:
        raise StorageError(f"the database failed ({type(error.orig).__name__})") from error
    except TimeoutError as error:
        raise StorageError("no connection to the database became free in time") from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "DATABASE_URL is no URL: write sqlite:///path/to/file or postgresql://…"
        ) from None
    match parsed.drivername.partition("+")[0]:
        case "sqlite":
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgres" | "postgresql":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise SettingsError(
                f"DATABASE_URL starts with {other}: use sqlite:///path/to/file or postgresql://…"
            )


def _create_folder(url: URL) -> URL:
    path = Path(url.database or "").expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"DATABASE_URL: the folder {path.parent} cannot be made ({error.strerror})"
        ) from error
    return url.set(database=str(path))


def _create_engine(url: URL, pool_size: int) -> AsyncEngine:
    options: dict[str, Any] = {
        "hide_parameters": True
    }  # what people write stays out of errors and logs
    if url.get_backend_name() == "postgresql":
        options |= {"pool_pre_ping": True, "connect_args": {"connect_timeout": 5}}
    # No overflow: its connections are closed as soon as they are free, and in a rush of events new ones made for each.
    engine = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_use_lifo=True, **options
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "do_connect", _connect_sqlite)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        event.listen(engine.sync_engine, "connect", _prepare_postgresql)
    return engine


def _prepare_postgresql(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # By a statement: poolers between us and the server refuse unknown settings of a new connection.
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_TRANSACTION_TIMEOUT}s'")
    cursor.close()
    connection.commit()


def _connect_sqlite(_dialect: Any, _entry: Any, _arguments: Any, options: dict[str, Any]) -> None:
    options["async_creator_fn"] = connect


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = (
        None  # the driver shall not begin transactions on its own: `_begin_sqlite` does
    )
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        _execute_when_free(cursor, pragma)
    cursor.close()
    # SQLite's own lower() knows ASCII alone; searches ignore case in every script.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _execute_when_free(cursor: Any, pragma: str) -> None:
    """To change the journal, SQLite must turn a read lock into a write lock, and refuses at once if another has one."""
    deadline = time.monotonic() + _PREPARE_TIMEOUT
    while True:
        try:
            cursor.execute(pragma)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.005, 0.03))  # only while a new file is being made


def _begin_sqlite(connection: Connection) -> None:
    # Reads need no transaction: each statement sees what was committed when it began, as with PostgreSQL here.
    driver = connection.connection.driver_connection
    if isinstance(driver, SQLiteConnection) and connection.get_execution_options().get(
        "writing", False
    ):
        driver.writes = True


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
