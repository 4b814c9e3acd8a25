"""Connections to PostgreSQL on which every wait has a limit, and which need no session state.

A connection may stop responding without being closed: after a failover, behind a router that has dropped it, or behind
a halted pooler. The peer's kernel may keep acknowledging data, so every wait has a limit here, and a connection that
exceeds it is closed; SQLAlchemy then discards it, together with all idle connections of its age.

Behind a transaction pooler (PgBouncer, Supavisor), each transaction may run on a different server connection. So no
state is kept on one: no prepared statements, and settings for one transaction only.

If a COMMIT is not answered, the server is asked about the transaction by its id, on another connection, unless it goes
down (`Database.begin`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.errors import CrashShutdown, _WaitTimeout
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.timing import Timing
from storage.engine.outcome import IDENTIFY, TRANSACTION

T = TypeVar("T")

_POLL_INTERVAL = 0.1
_KEEPALIVE = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""Seconds, count and milliseconds after which the kernel gives up a peer that acknowledges nothing."""
_GOING_DOWN = ("57P01", "57P02")
"""The SQLSTATEs of the warnings before a server breaks off all connections: stopped at once, or after a crash."""


class NoAnswer(psycopg.OperationalError):
    """The server did not respond in time; the statement may have taken effect. The connection is closed."""


class BoundedConnection(psycopg.AsyncConnection[Any]):
    """A connection that is closed if the server does not respond within `limit` seconds, or the caller is cancelled.

    Closing a connection makes the server roll back. Asking it to cancel would need a second connection, which may not
    respond either.
    """

    limit = 10.0
    goes_down = False
    """Whether the server has warned that it goes down."""

    async def wait(
        self,
        gen: PQGen[T],
        interval: float = _POLL_INTERVAL,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's name
    ) -> T:
        limit = self.limit if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval, limit)
        except _WaitTimeout:
            self.pgconn.finish()
            raise NoAnswer(f"no answer within {limit:g} s") from None
        except asyncio.CancelledError:
            self.pgconn.finish()
            raise
        except psycopg.OperationalError as error:
            if self.goes_down and error.sqlstate is None:
                raise CrashShutdown(str(error)) from error
            raise

    def note_warning(self, warning: psycopg.errors.Diagnostic) -> None:
        """Notes what the server says before it breaks off the connection."""
        if warning.sqlstate in _GOING_DOWN:
            self.goes_down = True


class BoundedSyncConnection(psycopg.Connection[Any]):
    """The same for blocking code, such as migrations."""

    limit = 10.0

    def wait(
        self, gen: PQGen[T], interval: float = _POLL_INTERVAL, timeout: float | None = None
    ) -> T:
        limit = self.limit if timeout is None else timeout
        try:
            return waiting.wait(gen, self.pgconn.socket, interval, limit)
        except _WaitTimeout:
            self.pgconn.finish()
            raise NoAnswer(f"no answer within {limit:g} s") from None


@dataclass(frozen=True, slots=True)
class Limits:
    """The timeouts of one pool's connections, in seconds."""

    connect: float
    """For opening a connection, once its name is resolved; a name may have several addresses."""
    check: float
    """For the response to the check before each use."""
    statement: float
    checkout: float
    """For a connection to become free."""


def create_engine(url: URL, pool_size: int, limits: Limits) -> AsyncEngine:
    """A pool in AUTOCOMMIT, in which a transaction begins with the statement in the execution option `begin`."""
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # keeps message text out of errors and logs
        pool_size=pool_size,
        # An overflow connection is closed as soon as it is free, so a burst of events would open one for each.
        max_overflow=0,
        pool_use_lifo=True,
        pool_pre_ping=True,
        pool_timeout=limits.checkout,
        connect_args={
            **connect_options(url, limits.connect),
            "async_creator_fn": partial(_connect, limits),
        },
    )
    _set_limits(engine.sync_engine, limits)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def connect_options(url: URL, connect_timeout: float) -> dict[str, Any]:
    """The driver's options for a new connection; options in the URL are kept."""
    options = {
        "connect_timeout": max(2, round(connect_timeout)),
        "client_encoding": "UTF8",  # the driver returns no texts from a database in SQL_ASCII otherwise
        **_KEEPALIVE,
    }
    wanted = {name: value for name, value in options.items() if name not in url.query}
    return wanted | {"prepare_threshold": None}


def begin(timing: Timing, *, read_only: bool = False) -> str:
    """The statements that begin a transaction, in one round trip; for a writing one, the first returns its id."""
    settings = {
        "idle_in_transaction_session_timeout": _milliseconds(timing.idle_transaction_timeout),
        "statement_timeout": _milliseconds(timing.database_statement_timeout),
    }
    if read_only:
        settings["statement_timeout"] = _milliseconds(timing.database_search_timeout)
        # PostgreSQL enables JIT based on a cost estimate alone, and compiling takes ten times as long as such a query.
        settings["jit"] = "off"
    local = (f"SET LOCAL {name} = {value}" for name, value in settings.items())
    # What precedes BEGIN in one request belongs to the transaction, and the driver reads only the first result.
    first = ("BEGIN READ ONLY",) if read_only else (IDENTIFY, "BEGIN")
    return "; ".join((*first, *local))


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


async def _connect(limits: Limits, *arguments: Any, **options: Any) -> BoundedConnection:
    """Connects, with a time limit on everything. A name may lead to several addresses, and a resolver may hang."""
    connecting: Awaitable[BoundedConnection] = BoundedConnection.connect(*arguments, **options)
    try:
        async with asyncio.timeout(2 * limits.connect):
            connection = await connecting
    except TimeoutError:
        raise psycopg.errors.ConnectionTimeout("connection timeout expired") from None
    connection.limit = limits.check
    connection.add_notice_handler(connection.note_warning)
    return connection


def _set_limits(engine: Engine, limits: Limits) -> None:
    """Sets the limit for statements once the connection is checked out, which happens after the check."""

    def listener(seconds: float) -> Callable[..., None]:
        def set_limit(connection: Any, *_: object) -> None:
            if connection is not None:
                connection.driver_connection.limit = seconds

        return set_limit

    event.listen(engine, "checkout", listener(limits.statement))
    event.listen(engine, "checkin", listener(limits.check))


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get("begin")
    if statement is not None:
        begun = connection.exec_driver_sql(statement)
        connection.info[TRANSACTION] = begun.scalar() if begun.returns_rows else None
