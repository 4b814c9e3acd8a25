"""Column types and functions that behave the same in both databases: times, text, the database's clock, ids."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, DateTime, Dialect, Text, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware time in UTC. SQLite does not store the zone, so it is added when a value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class SafeText(TypeDecorator[str]):
    """Any string from a client or a model.

    PostgreSQL cannot store NUL, and neither database accepts a lone surrogate; both are replaced.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class database_time(FunctionElement[datetime]):
    """The database's clock plus `seconds`, because leases must not depend on the clocks of replicas.

    It does not advance within a statement. So conditions can use an index, and a lease counts from the moment it was
    requested, as its worker counts it, however long the statement waits for a lock.
    """

    type = UtcTime()
    name = "database_time"
    inherit_cache = True

    def __init__(self, seconds: float | BindParameter[float] = 0.0) -> None:
        super().__init__(
            seconds if isinstance(seconds, BindParameter) else literal(round(float(seconds), 3))
        )


@compiles(database_time, "postgresql")
def _postgresql_time(element: database_time, compiler: SQLCompiler, **options: Any) -> str:
    shift = compiler.process(element.clauses, **options)
    return f"statement_timestamp() + make_interval(secs => {shift})"


@compiles(database_time, "sqlite")
def _sqlite_time(element: database_time, compiler: SQLCompiler, **options: Any) -> str:
    # The format in which SQLAlchemy stores times in SQLite, so that comparing the strings compares the times.
    shift = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {shift} || ' seconds')"


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """A unique id of 32 hexadecimal characters. Ids sort by creation time, to the millisecond."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
