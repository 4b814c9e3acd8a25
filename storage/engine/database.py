"""One database, SQLite or PostgreSQL: write transactions, reads, and the project's own errors."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
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
from bot.timing import Timing
from storage.engine.migrate import upgrade
from storage.engine.sqlite import SQLiteConnection, connect

_log = logging.getLogger(__name__)

PRAGMAS = (
    "PRAGMA busy_timeout = 30000",  # milliseconds; first, since the other pragmas may have to wait too
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -512",  # KiB per connection; the operating system caches the file once for all of them
)
_PREPARE_TIMEOUT = 30.0
"""Seconds, like `busy_timeout`, which SQLite ignores while several processes create a new file's journal at once."""

_FORCE_CUSTOM_PLAN = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"
)
"""Settings of a transaction whose query gets a new plan. JIT is off because PostgreSQL starts it on a mere cost
estimate, and compiling takes ten times as long as such a query."""

_POSTGRESQL_POOL_SIZE = 20
_SQLITE_POOL_SIZE = 4
"""One connection writes, the others read. Each connection to a file costs a thread and three open files, and compiles
every statement for itself, which takes longer than waiting for another connection's read."""

_CLOSE_TIMEOUT = 2.0
"""Seconds that closing waits for connections that are still in use."""


class Conflict(StorageError):
    """A value that must be unique exists already: another writer was faster."""


class Database:
    """A pool of connections to the database that a URL names."""

    def __init__(
        self,
        url: URL,
        *,
        pool_size: int,
        timing: Timing,
        temporary_folder: TemporaryDirectory[str] | None = None,
    ) -> None:
        self._url = url
        self._temporary_folder = temporary_folder
        self._engine = _create_engine(url, pool_size, timing)
        self._writing = self._engine.execution_options(writing=True)
        self._reading = self._engine
        self._urgent: AsyncEngine | None = None
        self._write_lock: asyncio.Lock | None = None
        if self.dialect == "postgresql":
            self._urgent = _create_engine(url, 1, timing)
            self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        else:
            # SQLite allows one writer; queueing here is fairer and faster than SQLite's own sleeping and polling.
            self._write_lock = asyncio.Lock()

    @classmethod
    def open(cls, url: str, *, pool_size: int | None = None, timing: Timing = Timing()) -> Database:
        """Accept `sqlite:///path`, `sqlite://` (deleted by `close`) or `postgresql://…`; nothing is connected yet.

        `pool_size`: maximum number of connections; by default what suits the database. The folder of an SQLite file is
        created. Raises SettingsError when the URL cannot be used.
        """
        parsed = _parse(url)
        if parsed.get_backend_name() == "postgresql":
            return cls(parsed, pool_size=pool_size or _POSTGRESQL_POOL_SIZE, timing=timing)
        temporary_folder = None
        if parsed.database in (None, "", ":memory:"):
            # A real file, because connections to SQLite's in-memory databases share no transactions.
            temporary_folder = TemporaryDirectory(prefix="bobbin-")
            parsed = parsed.set(database=str(Path(temporary_folder.name) / "bobbin.db"))
        return cls(
            _create_folder(parsed),
            pool_size=pool_size or _SQLITE_POOL_SIZE,
            timing=timing,
            temporary_folder=temporary_folder,
        )

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @asynccontextmanager
    async def begin(self, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A write transaction: committed when the block succeeds, otherwise rolled back. Must not be nested.

        `urgent`: does not queue for a pooled connection, where that can take long (PostgreSQL).
        Raises Conflict when a unique value exists already, StorageError for any other failure of the database.
        """
        engine = self._urgent if urgent and self._urgent else self._writing
        async with self._write_lock or nullcontext():
            with _translate_errors():
                async with engine.begin() as connection:
                    yield connection

    @asynccontextmanager
    async def read(self, *, replan: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection to read from. Raises StorageError.

        `replan`: PostgreSQL reuses no plan of an earlier query, because a good plan for one search word is a bad
        one for another.
        """
        with _translate_errors():
            if replan and self.dialect == "postgresql":
                async with self._engine.begin() as connection:
                    await connection.execute(_FORCE_CUSTOM_PLAN)
                    yield connection
                return
            async with self._reading.connect() as connection:
                yield connection

    async def migrate(self, timeout: float = 0.0) -> None:  # noqa: ASYNC109 - nothing is cancelled
        """Upgrade the schema to this version's newest; any number of processes may do so at once.

        A server that cannot be reached because it is restarting is retried for `timeout` seconds. Raises StorageError.
        """
        deadline = time.monotonic() + timeout
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
        """Close all connections.

        Waits briefly for transactions that are being rolled back, because nothing closes a connection that returns to
        the pool later.
        """
        deadline = time.monotonic() + _CLOSE_TIMEOUT
        while _connections_in_use(self._engine.pool) and time.monotonic() < deadline:  # noqa: ASYNC110 - the pool has no event
            await asyncio.sleep(0.01)
        await self._engine.dispose()
        if self._urgent is not None:
            await self._urgent.dispose()
        if self._temporary_folder is not None:
            self._temporary_folder.cleanup()


def _connections_in_use(pool: Pool) -> int:
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
    """Create the folder of an SQLite file, for its owner alone; the URL with `~` expanded."""
    path = Path(url.database or "").expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"DATABASE_URL: the folder {path.parent} cannot be made ({error.strerror})"
        ) from error
    return url.set(database=str(path))


def _create_engine(url: URL, pool_size: int, timing: Timing) -> AsyncEngine:
    # Keeps message text out of errors and logs:
    options: dict[str, Any] = {"hide_parameters": True}
    if url.get_backend_name() == "postgresql":
        options |= {"pool_pre_ping": True, "connect_args": {"connect_timeout": 5}}
    # No overflow: an overflow connection is closed as soon as it is free, so a rush of events would open one for each.
    engine = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_use_lifo=True, **options
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "do_connect", _connect_sqlite)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        prepare = _prepare_postgresql(timing.idle_transaction_timeout)
        event.listen(engine.sync_engine, "connect", prepare)
    return engine


def _prepare_postgresql(
    idle_transaction_timeout: float,
) -> Callable[[Any, ConnectionPoolEntry], None]:
    def prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
        # A statement, because connection poolers refuse unknown settings in the startup packet.
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{idle_transaction_timeout}s'")
        cursor.close()
        connection.commit()

    return prepare


def _connect_sqlite(_dialect: Any, _entry: Any, _arguments: Any, options: dict[str, Any]) -> None:
    options["async_creator_fn"] = connect


def _prepare_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # The driver must not begin transactions by itself: `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        _execute_when_free(cursor, pragma)
    cursor.close()
    # SQLite's own lower() knows ASCII alone; searches ignore case in every script.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _execute_when_free(cursor: Any, pragma: str) -> None:
    """Retry while busy: changing the journal mode upgrades a read lock, and SQLite does not wait for that."""
    deadline = time.monotonic() + _PREPARE_TIMEOUT
    while True:
        try:
            cursor.execute(pragma)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.005, 0.03))  # only while a new file is being created


def _begin_sqlite(connection: Connection) -> None:
    # Reads need no transaction: each statement sees what was committed when it began, as with PostgreSQL here.
    driver = connection.connection.driver_connection
    writing = connection.get_execution_options().get("writing", False)
    if isinstance(driver, SQLiteConnection) and writing:
        driver.begin_before_next_statement = True


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
