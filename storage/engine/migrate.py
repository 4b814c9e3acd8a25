"""Upgrades a database to the newest schema with Alembic, from inside the program.

Alembic takes about ten megabytes of memory, so it is imported only when there is something to migrate.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from bot.errors import StorageError
from bot.timing import Timing
from storage.engine import sqlite

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parents[1] / "migrations"
_ADVISORY_LOCK = 0x626F6262696E  # "bobbin"
_ALEMBIC_LOCK = threading.Lock()
"""Alembic keeps its current environment in a module global, so a process runs one migration at a time."""
_LOCK_INTERVAL = 0.2
"""Seconds between two attempts to get a lock that another process holds."""
_LONGEST_STATEMENT = 3600.0
"""Seconds for one statement of a migration, or for a migration by another process."""
_LONGEST_PAUSE = 60_000
"""Milliseconds between two statements of a migration after which PostgreSQL releases its lock."""


def upgrade(url: URL, timing: Timing) -> None:
    """Upgrades to the newest revision in one transaction, under a lock that excludes every other process. Blocks.

    Raises StorageError if a newer version of this program has migrated the database, or if it is new and cannot hold
    every text.
    """
    engine = (_sqlite if url.get_backend_name() == "sqlite" else _postgresql)(url, timing)
    try:
        with _ALEMBIC_LOCK, engine.begin() as connection:
            _upgrade(connection)
    finally:
        engine.dispose()


def _sqlite(url: URL, timing: Timing) -> Engine:
    """An engine whose transactions hold the file's write lock."""
    path = str(url.database)
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        creator=lambda: sqlite.open_file(path, timing.database_statement_timeout),
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "begin", lambda each: each.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _postgresql(url: URL, timing: Timing) -> Engine:
    """An engine whose transactions hold the advisory lock."""
    # Imported here, because the driver takes memory that SQLite does not need.
    from storage.engine import postgresql

    def connect(*arguments: Any) -> postgresql.BoundedSyncConnection:
        (_, _, positional, named) = arguments
        connection = postgresql.BoundedSyncConnection.connect(*positional, **named)
        connection.limit = timing.database_statement_timeout
        return connection

    def lock(connection: Connection) -> None:
        _wait_for_lock(connection)
        driver = connection.connection.driver_connection
        assert isinstance(driver, postgresql.BoundedSyncConnection)
        driver.limit = _LONGEST_STATEMENT

    options = postgresql.connect_options(url, timing.database_connect_timeout)
    engine = create_engine(url, connect_args=options, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "begin", lock)
    return engine


def _wait_for_lock(connection: Connection) -> None:
    """Waits until no other process is migrating.

    Polls instead of waiting in the server, because only polling notices a connection that no longer responds.
    """
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {_LONGEST_PAUSE}")
    query = text("SELECT pg_try_advisory_xact_lock(:key)")
    deadline = time.monotonic() + _LONGEST_STATEMENT
    while not connection.scalar(query, {"key": _ADVISORY_LOCK}):
        if time.monotonic() > deadline:
            raise StorageError("another process has been migrating the database for an hour")
        time.sleep(_LOCK_INTERVAL)


def revisions() -> tuple[str, ...]:
    """The revisions that this version knows, oldest first: the prefixes of the migrations' file names."""
    return tuple(
        sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))
    )


def revision_of(connection: Connection) -> str | None:
    """The database's current revision; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def encoding_problem(connection: Connection) -> str | None:
    """Why a database cannot be begun, because it cannot hold every text; one line. None if it can be, or is in use."""
    if connection.dialect.name == "sqlite" or revision_of(connection) is not None:
        return None
    encoding = connection.scalar(text("SELECT current_setting('server_encoding')"))
    if encoding == "UTF8":
        return None
    return (
        f"the database's encoding is {encoding}, but people's texts need UTF8; name a database in DATABASE_URL that "
        "was made with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for our migrations, running on this connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    current = revision_of(connection)
    known = revisions()
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise StorageError(
            f"the database has schema {current}, which this version of Bobbin does not know:"
            " run a newer version, or another database"
        )
    if problem := encoding_problem(connection):
        raise StorageError(problem)
    from alembic import command

    command.upgrade(configuration(connection), "head")
