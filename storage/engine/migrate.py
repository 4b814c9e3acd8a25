"""Upgrades a database to the newest schema with Alembic, from inside the program.

Alembic takes about ten megabytes of memory, so it is imported only when there is something to migrate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from bot.errors import StorageError

if TYPE_CHECKING:
    from alembic.config import Config

PrepareSqlite = Callable[[Any, Any], None]

_FOLDER = Path(__file__).parents[1] / "migrations"
_ADVISORY_LOCK = 0x626F6262696E  # "bobbin"
_ALEMBIC_LOCK = threading.Lock()
"""Alembic keeps its current environment in a module global, so a process runs one migration at a time."""


def upgrade(url: URL, prepare_sqlite: PrepareSqlite) -> None:
    """Upgrade to the newest revision in one transaction, under a lock that excludes every other process. Blocks.

    Raises StorageError when a newer version of this program has migrated the database.
    """
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite") if sqlite else url,
        poolclass=NullPool,
        hide_parameters=True,
    )
    if sqlite:
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    try:
        with _ALEMBIC_LOCK, engine.begin() as connection:
            if not sqlite:
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                )
            _upgrade(connection)
    finally:
        engine.dispose()


def revisions() -> tuple[str, ...]:
    """The revisions that this version knows, oldest first: the prefixes of the migrations' file names."""
    return tuple(
        sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))
    )


def revision_of(connection: Connection) -> str | None:
    """The revision that the database has; None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


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
    from alembic import command

    command.upgrade(configuration(connection), "head")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
