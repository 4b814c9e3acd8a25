"""Brings a database to the newest schema with Alembic, from inside the program."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

from bot.errors import StorageError

PrepareSqlite = Callable[[Any, Any], None]

_ADVISORY_LOCK = 0x626F6262696E  # "bobbin"
_ALEMBIC = threading.Lock()  # Alembic keeps its current environment in the module: one migration at a time in a process


def upgrade(url: URL, prepare_sqlite: PrepareSqlite) -> None:
    """Upgrade to the newest revision in one transaction that excludes every other process doing the same. Blocks.

    Raises StorageError when the database has been made by a newer version of this program.
    """
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite") if sqlite else url, poolclass=NullPool, hide_parameters=True
    )
    if sqlite:
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    try:
        with _ALEMBIC, engine.begin() as connection:
            if not sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            _upgrade(connection)
    finally:
        engine.dispose()


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for our migrations, running on this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    config = configuration(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise StorageError(
            f"the database has schema {', '.join(sorted(unknown))}, which this version of Bobbin does not know:"
            " run a newer version, or another database"
        )
    command.upgrade(config, "head")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
