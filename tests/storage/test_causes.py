"""Errors about an unusable database name its address and a remedy, whatever is wrong, without the password."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from bot.errors import SettingsError, StorageError
from bot.timing import Timing
from storage.engine.database import Database
from storage.engine.schema_version import Schema, schema_of, setup_problem
from tests.deadlines import WAIT_TIMEOUT, patient_timing

SHORT = Timing(
    database_connect_timeout=2.0, database_statement_timeout=1.0, database_migration_timeout=1.0
)
"""For what never answers; what answers may take its time on a busy machine."""
ON_POSTGRESQL = {
    "nothing listens": ("postgresql://u:hush@127.0.0.1:1/d", "nothing listens there"),
    "no such host": ("postgresql://u:hush@no.such.host.invalid/d", "name cannot be resolved"),
    "no such database": ("postgresql://USER:hush@HOST/nowhere", "no database of this name"),
    "no such user": ("postgresql://nobody:hush@HOST/postgres", "refuses the user or the password"),
    "no TLS": ("postgresql://USER:hush@HOST/postgres?sslmode=require", "offers no TLS"),
    "an option of another driver": (
        "postgresql://USER:hush@HOST/postgres?pgbouncer=true",
        'invalid connection option "pgbouncer"',
    ),
    "another driver's sslmode": (
        "postgresql://USER:hush@HOST/postgres?sslmode=no-verify",
        'invalid sslmode value: "no-verify"',
    ),
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


@pytest.mark.postgres
async def test_a_user_without_permissions_is_reported(postgresql_url: str) -> None:
    """Before the first start, and in a database that somebody else has migrated."""
    role = f"lodger_{uuid4().hex}"
    parts = urlsplit(postgresql_url)
    url = parts._replace(netloc=f"{role}@{parts.hostname}:{parts.port}").geturl()
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN")
        owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        lodger = Database.open(url, timing=patient_timing())
        try:
            said = await said_of(url, migrating=True)
            assert "does not let its user do this: permission denied for schema public" in said
            assert "GRANT USAGE, CREATE ON SCHEMA public" in said
            assert "may not create" in str(await setup_problem(lodger, await schema_of(lodger)))

            assert await said_of(postgresql_url, migrating=True) == "ok"
            with pytest.raises(StorageError, match="permission denied for table alembic_version"):
                await schema_of(lodger)
            owner.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
            assert await schema_of(lodger) is Schema.CURRENT
            assert "may not write" in str(await setup_problem(lodger, Schema.CURRENT))
            owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
            assert await setup_problem(lodger, Schema.CURRENT) is None
            assert "may not create or change" in str(await setup_problem(lodger, Schema.OLDER))
        finally:
            await lodger.close()
            owner.execute(f"DROP OWNED BY {role}")
            owner.execute(f"DROP ROLE {role}")


REFUSING = {
    "ALTER ROLE {role} NOLOGIN": "does not let this user log in; ALTER ROLE … LOGIN",
    "ALTER ROLE {role} CONNECTION LIMIT 0": "(CONNECTION LIMIT); raise the limit",
    "REVOKE CONNECT ON DATABASE {name} FROM PUBLIC": "does not let this user connect; GRANT CONNECT",
    "ALTER DATABASE {name} ALLOW_CONNECTIONS false": "accepts no connections; ALTER DATABASE",
}


@pytest.mark.postgres
@pytest.mark.parametrize("refusal", REFUSING)
async def test_a_refused_connection_is_reported_with_its_cure(
    postgresql_server: str, refusal: str
) -> None:
    role, name = f"lodger_{uuid4().hex}", f"house_{uuid4().hex}"
    parts = urlsplit(postgresql_server)
    url = f"postgresql://{role}@{parts.hostname}:{parts.port}/{name}"
    with psycopg.connect(postgresql_server, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN")
        owner.execute(f"CREATE DATABASE {name}")
        try:
            owner.execute(refusal.format(role=role, name=name))
            for migrating in (True, False):
                said = await said_of(url, migrating=migrating)
                assert REFUSING[refusal] in said
                assert said.startswith("PostgreSQL at ")
        finally:
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
            owner.execute(f"DROP ROLE {role}")


@pytest.mark.postgres
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_lacks_characters_is_refused(
    postgresql_server: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the first start, before anything is stored, and by the doctor. One that an older version began is used."""
    name = f"old_{uuid4().hex}"
    url = urlsplit(postgresql_server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(postgresql_server, autocommit=True) as owner:
        owner.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
        database = Database.open(url, timing=patient_timing())
        try:
            expected = f"the database's encoding is {encoding}"
            assert (await said_of(url, migrating=True)).startswith(expected)
            assert expected in str(await setup_problem(database, await schema_of(database)))
            with monkeypatch.context() as before_it_was_refused:
                before_it_was_refused.setattr(
                    "storage.engine.migrate.encoding_problem", lambda _: None
                )
                assert await said_of(url, migrating=True) == "ok"
            assert await said_of(url, migrating=True) == "ok"
            for schema in (await schema_of(database), Schema.OLDER):
                assert await setup_problem(database, schema) is None
        finally:
            await database.close()
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:hush@now@host/d", "percent-encoded"),
        ("postgresql://u:hush@no/w@host/d", "percent-encoded"),
        ("postgresql://u:hush@no/w#x@127.0.0.1:5432/d", "percent-encoded"),
        ("postgresql://host:port/d", "percent-encoded"),
        (f"postgresql://u:hush@{'h' * 64}/d", "no host that there can be"),
        ("sqlite://hush/bobbin.sqlite3", "with three slashes"),
        ("mysql://u:hush@h/d", "starts with mysql"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str, expected: str) -> None:
    """The message shows nothing that may be a part of the password."""
    with pytest.raises(SettingsError, match=r"^DATABASE_URL ") as refused:
        Database.open(url)
    assert expected in str(refused.value)
    assert "hush" not in str(refused.value)
    assert "now" not in str(refused.value)


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
