"""Brings a database to the newest schema with Alembic, from inside the program.

Alembic is some ten megabytes: it is loaded only where something is to be migrated.
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
_ALEMBIC_LOCK = (
    threading.Lock()
)  # Alembic keeps its current environment in the module: one migration at a time in a process


def upgrade(url: URL, prepare_sqlite: PrepareSqlite) -> None:
    """Upgrade to the newest revision in one transaction that excludes every other process doing the same. Blocks.

    Raises StorageError when the database has been made by a newer version of this program.
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
    """Those that this version knows, from the first to the newest: the files of the migrations begin with them."""
    return tuple(
        sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))
    )


def revision_of(connection: Connection) -> str | None:
    """The database's own; None when it has none yet."""
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
    here, known = revision_of(connection), revisions()
    if here == known[-1]:
        return
    if here is not None and here not in known:
        raise StorageError(
            f"the database has schema {here}, which this version of Bobbin does not know:"
            " run a newer version, or another database"
        )
    from alembic import command

    command.upgrade(configuration(connection), "head")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
