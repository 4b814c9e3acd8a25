"""One database, SQLite or PostgreSQL: write transactions, reads, and the project's own errors."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import Pool, QueuePool

from bot.errors import SearchTooLong, SettingsError, StorageError
from bot.timing import Timing
from storage.engine import sqlite
from storage.engine.failures import (
    BUSY,
    DEADLOCK,
    LOCKED,
    READ_ONLY,
    TOO_LONG,
    Failure,
    address,
    failure_of,
)
from storage.engine.migrate import upgrade
from storage.engine.outcome import TRANSACTION, CommitOutcome, outcome_of

_log = logging.getLogger(__name__)

_POSTGRESQL_POOL_SIZE = 12
_SEARCH_POOL_SIZE = 2
"""Searches may take long, so they have their own connections: no other read or write waits for one."""
_SQLITE_READERS = 3
"""Each connection to a file costs a thread and three open files, and compiles every statement for itself, which takes
longer than waiting for another connection's read."""

_OUTCOME_INTERVAL = 0.2
"""Seconds between two questions about a transaction that has not ended yet."""

_MOST_DEADLOCKS = 10
"""How many times in succession a migration may be undone by a deadlock with other processes' writes."""

_CLOSE_TIMEOUT = {"postgresql": 2.0, "sqlite": 10.0}
"""Seconds that closing waits for connections that are still in use. A server may never respond, but a thread always
does, and one whose connection were left to it would respond to an event loop that has ended.
"""


_NO_URL = (
    "DATABASE_URL is no URL: write sqlite:///path/to/file or postgresql://user:password@host/name, with the "
    "characters @, :, / and % of a password percent-encoded (%40, %3A, %2F, %25)"
)


class Conflict(StorageError):
    """A value that must be unique already exists: another writer was faster."""


class DatabaseFailed(StorageError):
    """The database refused, did not respond, or cannot be reached. The message says why, without any data."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"the database {failure.reason}")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class _Pools:
    """Connections by purpose, so that one purpose never waits for another's."""

    writing: AsyncEngine
    urgent: AsyncEngine
    """For writes that must not queue behind others; the same as `writing` on SQLite, which allows one writer."""
    reading: AsyncEngine
    searching: AsyncEngine
    engines: tuple[AsyncEngine, ...]
    """Each pool once, without the options of its use."""


class Database:
    """Pools of connections to the database that a URL names."""

    def __init__(
        self,
        url: URL,
        pools: _Pools,
        *,
        timing: Timing,
        temporary_folder: TemporaryDirectory[str] | None = None,
    ) -> None:
        self._url = url
        self._pools = pools
        self._timing = timing
        self._temporary_folder = temporary_folder
        self._away_since: float | None = None

    @classmethod
    def open(cls, url: str, *, pool_size: int | None = None, timing: Timing = Timing()) -> Database:
        """Accepts `sqlite:///path`, `sqlite://` (deleted by `close`) or `postgresql://…`; nothing is connected yet.

        `pool_size`: the maximum number of connections for ordinary work; the default depends on the database. The
        folder of an SQLite file is created. Raises SettingsError when the URL cannot be used.
        """
        parsed = _parse(url)
        if parsed.get_backend_name() == "postgresql":
            pools = _postgresql_pools(parsed, pool_size or _POSTGRESQL_POOL_SIZE, timing)
            return cls(parsed, pools, timing=timing)
        temporary_folder = None
        if parsed.database in (None, "", ":memory:"):
            # A real file, because connections to SQLite's in-memory databases share no transactions.
            temporary_folder = TemporaryDirectory(prefix="bobbin-")
            parsed = parsed.set(database=str(Path(temporary_folder.name) / "bobbin.db"))
        parsed = _create_folder(parsed)
        pools = _sqlite_pools(parsed, pool_size or _SQLITE_READERS, timing)
        return cls(parsed, pools, timing=timing, temporary_folder=temporary_folder)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @property
    def engines(self) -> tuple[AsyncEngine, ...]:
        """All engines that send statements, for observing these through SQLAlchemy's events."""
        return self._pools.engines

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        return address(self._url)

    @asynccontextmanager
    async def begin(self, *, urgent: bool = False) -> AsyncIterator[AsyncConnection]:
        """A write transaction: committed if the block succeeds, otherwise rolled back. Must not be nested.

        `urgent`: does not queue for a pooled connection if that may take long (PostgreSQL); for writes that are
        repeated anyway. Raises Conflict if a unique value already exists, StorageError for any other failure of the
        database. Then nothing was stored, unless the database could not be asked about it, or goes down; with `urgent`
        it is not asked.
        """
        pool = self._pools.urgent if urgent else self._pools.writing
        ended: int | None = None
        try:
            with self._translated_errors():
                async with pool.begin() as connection:
                    yield connection
                    ended = connection.info.get(TRANSACTION)  # only COMMIT can fail from here on
        except DatabaseFailed as error:
            if urgent or ended is None or not await self._is_committed(ended, error.failure):
                raise

    async def _is_committed(self, transaction: int, failure: Failure) -> bool:
        """Whether a transaction with an unanswered COMMIT took effect; also False if the database can't be asked."""
        outcome = CommitOutcome.UNKNOWN if failure.down else CommitOutcome.IN_PROGRESS
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.database_outcome_timeout):
                while outcome is CommitOutcome.IN_PROGRESS:
                    outcome = await self._outcome(transaction)
        _log.warning("commit_unanswered", extra={"outcome": outcome})
        return outcome is CommitOutcome.COMMITTED

    async def _outcome(self, transaction: int) -> CommitOutcome:
        """After a moment `IN_PROGRESS`, also while the database does not respond; `UNKNOWN` if it is down."""
        try:
            async with self.read() as connection:
                if (
                    outcome := await outcome_of(connection, transaction)
                ) is not CommitOutcome.IN_PROGRESS:
                    return outcome
        except DatabaseFailed as error:
            if error.failure.down:
                return CommitOutcome.UNKNOWN
        await asyncio.sleep(_OUTCOME_INTERVAL)
        return CommitOutcome.IN_PROGRESS

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; each statement sees what was committed when it began. Raises StorageError."""
        with self._translated_errors():
            async with self._pools.reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def search(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads that may take long: few at a time, and each statement has a time limit.

        Raises SearchTooLong when a statement reached it, or none could begin in time; StorageError for other failures.
        """
        try:
            with self._translated_errors():
                async with self._pools.searching.begin() as connection:
                    yield connection
        except DatabaseFailed as error:
            if error.failure in (TOO_LONG, BUSY):
                raise SearchTooLong(str(error)) from error
            raise

    async def migrate(self, timeout: float = 0.0) -> None:  # noqa: ASYNC109 - nothing is cancelled
        """Upgrades the schema to this version's newest; any number of processes may do so at once.

        A server that is restarting is retried for `timeout` seconds; a file that another process migrates, for longer;
        a deadlock with the writes of other processes, a few times. Raises StorageError.
        """
        began = time.monotonic()
        deadlocks = 0
        while True:
            try:
                with self._translated_errors():
                    return await asyncio.to_thread(upgrade, self._url, self._timing)
            except DatabaseFailed as error:
                if error.failure is DEADLOCK:
                    deadlocks += 1
                    again = deadlocks <= _MOST_DEADLOCKS
                else:
                    again = time.monotonic() - began <= self._patience(error.failure, timeout)
                if not again:
                    raise StorageError(self.explain(error)) from error.__cause__
            await asyncio.sleep(1.0)

    def explain(self, error: StorageError) -> str:
        """Where the database is, what is wrong with it, and what to do; one line, without user and password."""
        cure = f"; {error.failure.cure}" if isinstance(error, DatabaseFailed) else ""
        return f"{self.address}: {error}{cure}"

    def _patience(self, failure: Failure, timeout: float) -> float:
        """For how many seconds a migration that failed so is tried again; `timeout` is for a server that may return."""
        if failure is LOCKED:
            return self._timing.database_migration_timeout
        may_return = self.dialect == "postgresql" and failure.away and not failure.lasting
        return timeout if may_return else -1.0

    async def ping(self) -> None:
        """Raises StorageError unless the database responds and can be written to."""
        read_only = "SELECT current_setting('transaction_read_only') = 'on'"
        query = "SELECT 1" if self.dialect == "sqlite" else read_only
        async with self.begin() as connection:
            if await connection.scalar(text(query)) is True:
                raise DatabaseFailed(READ_ONLY)

    async def close(self) -> None:
        """Closes all connections.

        Waits briefly for transactions that are being rolled back, because connections that return to the pool later
        would never be closed.
        """
        deadline = time.monotonic() + _CLOSE_TIMEOUT[self.dialect]
        while self._in_use() and time.monotonic() < deadline:  # noqa: ASYNC110 - the pool has no event
            await asyncio.sleep(0.01)
        for engine in self.engines:
            await engine.dispose()
        if self._temporary_folder is not None:
            self._temporary_folder.cleanup()

    def _in_use(self) -> bool:
        return any(_connections_in_use(engine.pool) for engine in self.engines)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except IntegrityError as error:
            raise Conflict("the database holds this already") from error
        except SQLAlchemyError as error:
            failed = DatabaseFailed(failure_of(error))
            self._note_failure(failed)
            raise failed from error
        self._note_success(began)

    def _note_failure(self, failed: DatabaseFailed) -> None:
        """Logs once why the database is down."""
        if failed.failure.away and self._away_since is None:
            self._away_since = time.monotonic()
            extra = {"reason": str(failed), "database": self.address}
            _log.warning("database_lost", extra=extra)

    def _note_success(self, began: float) -> None:
        """Logs once that the database is back; work that began before the loss proves nothing."""
        if self._away_since is not None and began > self._away_since:
            seconds = round(time.monotonic() - self._away_since, 1)
            self._away_since = None
            _log.warning("database_back", extra={"seconds": seconds})


def _postgresql_pools(url: URL, size: int, timing: Timing) -> _Pools:
    # Imported here, because the driver takes memory that SQLite does not need.
    from storage.engine import postgresql

    limits = postgresql.Limits(
        connect=timing.database_connect_timeout,
        check=timing.database_lease_timeout,
        statement=timing.database_statement_timeout,
        checkout=timing.database_statement_timeout,
    )
    quick = replace(limits, statement=timing.database_lease_timeout)
    pool = postgresql.create_engine(url, size, limits)
    urgent = postgresql.create_engine(url, 1, quick)
    searching = postgresql.create_engine(url, _SEARCH_POOL_SIZE, limits)
    begin = postgresql.begin(timing)
    return _Pools(
        writing=pool.execution_options(begin=begin),
        urgent=urgent.execution_options(begin=begin),
        reading=pool,
        searching=searching.execution_options(begin=postgresql.begin(timing, read_only=True)),
        engines=(pool, urgent, searching),
    )


def _sqlite_pools(url: URL, readers: int, timing: Timing) -> _Pools:
    limit = timing.database_statement_timeout
    writing = sqlite.create_engine(url, 1, limit, writing=True)
    reading = sqlite.create_engine(url, readers, limit)
    searching = sqlite.create_engine(url, _SEARCH_POOL_SIZE, timing.database_search_timeout)
    return _Pools(writing, writing, reading, searching, engines=(writing, reading, searching))


def _connections_in_use(pool: Pool) -> int:
    return pool.checkedout() if isinstance(pool, QueuePool) else 0


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(_NO_URL) from None
    match parsed.drivername.partition("+")[0]:
        case "sqlite":
            return _of_sqlite(parsed)
        case "postgres" | "postgresql":
            return _of_postgresql(parsed)
        case other:
            raise SettingsError(
                f"DATABASE_URL starts with {other}: use sqlite:///path/to/file or postgresql://…"
            )


def _of_sqlite(url: URL) -> URL:
    """Removes the URL's options: it must not decide how the file is opened."""
    if url.host or url.username:
        raise SettingsError(
            "DATABASE_URL names a host for SQLite: write sqlite:///path/to/file, with three slashes"
        )
    return url.set(drivername="sqlite+aiosqlite", query={})


def _of_postgresql(url: URL) -> URL:
    try:
        (url.host or "").encode("idna")
    except UnicodeError:
        raise SettingsError("DATABASE_URL names no host that there can be: correct it") from None
    if "@" in f"{url.host}{url.database}":  # a part of the password, which errors would show
        raise SettingsError(_NO_URL)
    return url.set(drivername="postgresql+psycopg")


def _create_folder(url: URL) -> URL:
    """Creates the folder of an SQLite file, for its owner alone; the URL with `~` expanded."""
    try:
        path = Path(url.database or "").expanduser()
    except RuntimeError:
        raise SettingsError(
            f"DATABASE_URL: {url.database} is in the home of an unknown user; write the whole path"
        ) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"the database's folder {path.parent} cannot be made ({error.strerror}): let Bobbin's user write there, or "
            "name another file in DATABASE_URL"
        ) from error
    return url.set(database=str(path))
