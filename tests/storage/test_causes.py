"""Why a database cannot be used is said with its address and a cure, whatever is wrong, and without the password."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bot.errors import StorageError
from bot.timing import Timing
from storage.engine.database import Database
from tests.deadlines import WAIT_TIMEOUT, patient_timing

SHORT = Timing(database_connect_timeout=2.0, database_statement_timeout=1.0)
"""For what never answers; what answers may take its time on a busy machine."""
ON_POSTGRESQL = {
    "nothing listens": ("postgresql://u:hush@127.0.0.1:1/d", "nothing listens there"),
    "no such host": ("postgresql://u:hush@no.such.host.invalid/d", "name cannot be resolved"),
    "no such database": ("postgresql://USER:hush@HOST/nowhere", "no database of this name"),
    "no such user": ("postgresql://nobody:hush@HOST/postgres", "refuses the user or the password"),
    "no TLS": ("postgresql://USER:hush@HOST/postgres?sslmode=require", "offers no TLS"),
    "mute": ("postgresql://u:hush@MUTE/d", "does not answer"),
    "read-only": (
        "postgresql://USER:hush@HOST/postgres?options=-cdefault_transaction_read_only%3Don",
        "read-only",
    ),
}


async def said_of(url: str, *, migrating: bool, timing: Timing | None = None) -> str:
    database = Database.open(url, timing=timing or patient_timing())
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await (database.migrate() if migrating else database.ping())
    except StorageError as error:
        return str(error) if migrating else database.explain(error)
    finally:
        await database.close()
    return "ok"


@pytest.mark.postgres
@pytest.mark.parametrize("migrating", [True, False], ids=["start", "doctor"])
@pytest.mark.parametrize("case", ON_POSTGRESQL)
async def test_what_is_wrong_with_postgresql(
    postgresql_server: str, case: str, migrating: bool
) -> None:
    url, expected = ON_POSTGRESQL[case]
    server = urlsplit(postgresql_server)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        place = f"127.0.0.1:{mute.getsockname()[1]}"
        url = url.replace("HOST", f"{server.hostname}:{server.port}").replace("MUTE", place)
        url = url.replace("USER", str(server.username))
        said = await said_of(url, migrating=migrating, timing=SHORT if case == "mute" else None)
    assert expected in said
    assert said.startswith("PostgreSQL at ")
    assert said.count("\n") == 0
    assert "hush" not in said


@contextmanager
def locked(file: Path) -> Iterator[None]:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


@pytest.mark.parametrize("migrating", [True, False], ids=["start", "doctor"])
async def test_what_is_wrong_with_an_sqlite_file(tmp_path: Path, migrating: bool) -> None:
    file = tmp_path / "bobbin.sqlite3"
    with locked(file):
        said = await said_of(f"sqlite:///{file}", migrating=migrating, timing=SHORT)
        assert "is locked by another process; end the process" in said
    assert await said_of(f"sqlite:///{file}", migrating=migrating) == "ok"
    (tmp_path / "text").write_text("no database, but a text that is long enough to be read " * 40)
    assert "is no SQLite database" in await said_of(
        f"sqlite:///{tmp_path}/text", migrating=migrating
    )
    assert "cannot be opened" in await said_of(f"sqlite:///{tmp_path}", migrating=migrating)
