"""The migrations create exactly the tables of the code, once, however many processes start at the same time."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import storage.migrations
from bot.errors import StorageError
from storage.engine.database import Database
from storage.engine.migrate import configuration, revisions
from storage.tables import metadata
from tests.deadlines import WAIT_TIMEOUT, patient_timing, until
from tests.slow import slow_after

MIGRATE = """
import asyncio, sys
from storage.engine.database import Database
from tests.deadlines import patient_timing
async def main():
    database = Database.open(sys.argv[1], timing=patient_timing())
    await database.migrate()
    await database.ping()
    await database.close()
asyncio.run(main())
"""

FOLDER = Path(storage.migrations.__file__).parent
REVISIONS = [script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()][::-1]
"""All revisions, oldest first."""


def _differences(connection: Connection) -> list[object]:
    def comparable(_object: object, name: str | None, *_: object) -> bool:
        return name != "passages"  # exists only on PostgreSQL, for `storage.statements.search`

    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "include_object": comparable}
    )
    return list(compare_metadata(context, metadata))


def test_the_files_are_named_after_their_revisions() -> None:
    assert list(revisions()) == REVISIONS


async def test_migrations_create_the_tables_of_the_metadata(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(_differences) == []


@pytest.mark.parametrize("revision", slow_after(4, [REVISIONS[0], *REVISIONS[:0:-1]]))
async def test_every_older_schema_is_upgraded(database_url: str, revision: str) -> None:
    database = Database.open(database_url, timing=patient_timing())
    async with database.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(configuration(sync), revision))
    await database.migrate()
    async with database.read() as connection:
        assert await connection.run_sync(_differences) == []
        assert (
            await connection.scalars(text("SELECT version_num FROM alembic_version"))
        ).all() == REVISIONS[-1:]
    await database.close()


REPLACED = ("0004", "question_images")
"""A table that went in the first days, when nobody ran more than one process."""


def _columns(connection: Connection) -> dict[str, dict[str, bool]]:
    """Of each table, its columns, and whether a row may be inserted without each."""
    schema = inspect(connection)
    return {
        table: {
            column["name"]: bool(column["nullable"] or column["default"] is not None)
            for column in schema.get_columns(table)
        }
        for table in schema.get_table_names()
    }


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_no_migration_stops_processes_of_the_version_before(database_url: str) -> None:
    """They run beside the new ones in a rolling upgrade: what they read stays, and what they insert is accepted."""
    database = Database.open(database_url, timing=patient_timing())
    before: dict[str, dict[str, bool]] = {}
    async with database.begin() as connection:
        for revision in REVISIONS:
            step = partial(_upgraded, revision=revision)
            now = await connection.run_sync(step)
            for table, columns in before.items():
                if (revision, table) == REPLACED:
                    continue
                assert columns.keys() <= now[table].keys(), (revision, table)
                demanded = {name for name, optional in now[table].items() if not optional}
                assert demanded <= {n for n, optional in columns.items() if not optional}, revision
            before = now
    await database.close()


def _upgraded(connection: Connection, revision: str) -> dict[str, dict[str, bool]]:
    command.upgrade(configuration(connection), revision)
    return _columns(connection)


async def test_partial_indexes_have_their_conditions(database: Database) -> None:
    def conditions(connection: Connection) -> dict[str | None, str]:
        indexes = inspect(connection).get_indexes("answers")
        key = f"{connection.dialect.name}_where"
        return {index["name"]: str(index.get("dialect_options", {}).get(key)) for index in indexes}

    async with database.read() as connection:
        found = await connection.run_sync(conditions)
    assert "running" in found["uq_answers_running"]
    assert "ended" in found["ix_answers_open"]


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await database.migrate()
    async with database.read() as connection:
        assert (
            await connection.scalars(text("SELECT version_num FROM alembic_version"))
        ).all() == REVISIONS[-1:]


async def test_several_processes_start_at_once_on_an_empty_database(database_url: str) -> None:
    Database.open(database_url)  # creates the folder, as each process would
    command = (sys.executable, "-W", "error", "-c", MIGRATE, database_url)
    started = [
        await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [(await process.communicate())[1].decode() for process in started]
    assert errors == [""] * 3
    assert [process.returncode for process in started] == [0] * 3
    database = Database.open(database_url, timing=patient_timing())
    async with database.read() as connection:
        assert (
            await connection.scalars(text("SELECT version_num FROM alembic_version"))
        ).all() == REVISIONS[-1:]
    await database.close()


DEADLOCK_AT_FIRST = """
CREATE SEQUENCE attempts;
CREATE FUNCTION fail_at_first() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('attempts') <= 2 THEN
            RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected';
        END IF;
    END
$$;
CREATE EVENT TRIGGER fail_at_first ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION fail_at_first();
"""


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_a_migration_undone_by_a_deadlock_is_tried_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for ever."""
    database = Database.open(database_url, timing=patient_timing())
    async with database.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(configuration(sync), "0039"))
        await connection.execute(text(DEADLOCK_AT_FIRST))
    with monkeypatch.context() as patched:
        patched.setattr("storage.engine.database._MOST_DEADLOCKS", 0)
        with pytest.raises(StorageError, match="waited for each other"):
            await database.migrate()
    await database.migrate()
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT last_value FROM attempts")) > 2  # both failed
        assert (
            await connection.scalars(text("SELECT version_num FROM alembic_version"))
        ).all() == REVISIONS[-1:]
    await database.close()


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_file_that_another_process_migrates_for_long_is_waited_for(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Longer than for a statement, and the log says so."""
    migrating = Database.open(database_url, timing=patient_timing())
    waiting = Database.open(database_url, timing=patient_timing(database_statement_timeout=0.1))
    async with migrating.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(configuration(sync), REVISIONS[0]))
        task = asyncio.create_task(waiting.migrate())
        await until(lambda: "database_lost" in caplog.messages)
        assert not task.done()
    await asyncio.wait_for(task, WAIT_TIMEOUT)
    async with migrating.read() as connection:  # its statements may take long
        assert await connection.run_sync(_differences) == []
    assert "database_back" in caplog.messages
    await migrating.close()
    await waiting.close()


async def test_two_databases_in_one_process_migrate_at_once(database_url: str) -> None:
    one, other = Database.open(database_url, timing=patient_timing()), Database.open("sqlite://")
    await asyncio.gather(one.migrate(), other.migrate(), one.migrate())
    for database in (one, other):
        async with database.read() as connection:
            assert await connection.run_sync(_differences) == []
        await database.close()


async def test_a_database_of_a_newer_version_is_refused_and_unchanged(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match=r"schema 9999.*newer version"):
        await database.migrate()
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
