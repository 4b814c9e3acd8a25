"""Transactions, errors and database URLs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select, text

from bot.errors import SettingsError, StorageError
from bot.timing import Timing
from storage.engine.database import Conflict, Database
from storage.engine.types import database_time, new_id, utc_now
from storage.tables import api_tokens, people
from tests.deadlines import WAIT_TIMEOUT, patient_timing


def _person(name: str) -> dict[str, object]:
    return {"team": "T1", "user": name, "always": False, "updated_at": utc_now()}


async def _count(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(people)) or 0


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def unit() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(people), [_person("U1")])
            raise LookupError

    with pytest.raises(LookupError):
        await unit()
    assert await _count(database) == 0


async def test_a_cancelled_transaction_leaves_nothing_and_blocks_no_other(
    database: Database,
) -> None:
    begun = asyncio.Event()

    async def unit() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(people), [_person("U1")])
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(unit())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.begin() as connection:
        await connection.execute(insert(people), [_person("U2")])
    assert await _count(database) == 1


async def test_a_transaction_cancelled_in_mid_statement_blocks_no_other(migrated_url: str) -> None:
    """Even while the error, and with it the statement, is still referenced."""

    async def unit(database: Database) -> None:
        for _ in range(9):
            async with database.begin() as connection:
                await connection.execute(text("SELECT 1"))
                await connection.execute(text("SELECT 2"))

    remembered = []
    for moment in range(100):
        database = Database.open(migrated_url, timing=patient_timing())
        task = asyncio.create_task(unit(database))
        await asyncio.sleep(moment * 0.0002)
        task.cancel()
        await asyncio.wait([task])
        remembered.append(task)
        async with asyncio.timeout(20), database.begin():
            pass  # a remaining lock would mean waiting for 30 seconds
        await database.close()


def test_a_connection_being_opened_does_not_outlive_its_event_loop(tmp_path: Path) -> None:
    """Cancelled at any point: no thread calls back into a closed loop, which would be a warning and so an error."""

    async def cut_off(turns: int) -> None:
        database = Database.open(f"sqlite:///{tmp_path}/bobbin.db")
        task = asyncio.create_task(database.ping())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await database.close()

    for turns in range(40):
        asyncio.run(cut_off(turns))


async def test_a_duplicate_value_raises_conflict_with_its_cause(database: Database) -> None:
    async def add(*names: str) -> None:
        async with database.begin() as connection:
            await connection.execute(insert(people), [_person(name) for name in names])

    await add("U1")
    with pytest.raises(Conflict) as caught:
        await add("U2", "U1")
    assert caught.value.__cause__ is not None
    assert await _count(database) == 1


async def test_errors_never_contain_message_text(database: Database) -> None:
    with pytest.raises(StorageError) as caught:
        async with database.begin() as connection:
            await connection.execute(
                text("INSERT INTO nowhere VALUES (:word)"), {"word": "my secret"}
            )
    assert "my secret" not in f"{caught.value} {caught.value.__cause__}"


async def test_writers_of_several_processes_wait_for_each_other(rivals: list[Database]) -> None:
    async def write(number: int) -> None:
        async with rivals[number % 3].begin() as connection:
            # Reads first, which in SQLite would make the later write fail without BEGIN IMMEDIATE.
            await connection.scalar(select(func.count()).select_from(people))
            await connection.execute(insert(people), [_person(f"U{number}")])

    await asyncio.gather(*(write(number) for number in range(30)))
    assert await _count(rivals[0]) == 30


async def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(insert(people), [_person("U1")])
        assert await _count(database) == 0
    assert await _count(database) == 1


async def test_an_empty_transaction_blocks_no_other(rivals: list[Database]) -> None:
    async with rivals[0].begin():
        pass
    async with rivals[0].read() as connection, asyncio.timeout(WAIT_TIMEOUT):
        await connection.execute(select(func.count()).select_from(people))
        async with rivals[1].begin() as other:
            await other.execute(insert(people), [_person("U1")])


async def test_times_are_read_back_aware_and_the_database_has_a_clock(database: Database) -> None:
    now = utc_now()
    row = {"hash": "h", "team": "T1", "user": "U1", "created_at": now}
    async with database.begin() as connection:
        await connection.execute(insert(api_tokens).values(**row, last_used_at=database_time(-5)))
        created, used, later = (
            await connection.execute(
                select(api_tokens.c.created_at, api_tokens.c.last_used_at, database_time(2.5))
            )
        ).one()
        past = select(func.count()).where(
            api_tokens.c.last_used_at < database_time(), database_time() < later
        )
        assert await connection.scalar(past) == 1
    assert created == now
    assert abs((used - now).total_seconds() + 5) < 2
    assert abs((later - used).total_seconds() - 7.5) < 1


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    row = {**_person("U1"), "updated_at": utc_now().replace(tzinfo=None)}
    with pytest.raises(StorageError):
        async with database.begin() as connection:
            await connection.execute(insert(people), [row])


async def test_text_that_a_database_cannot_hold_is_made_storable(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(insert(people), [{**_person("U1"), "name": "a\x00b\ud800c 🎈"}])
        assert await connection.scalar(select(people.c.name)) == "a\ufffdb?c 🎈"


def test_identifiers_are_unique_and_sort_by_time() -> None:
    first = new_id()
    many = {new_id() for _ in range(10_000)}
    assert len(many) == 10_000
    assert {len(name) for name in many} == {32}
    assert min(name[:12] for name in many) >= first[:12]


@pytest.mark.parametrize("url", ["nonsense", "mysql://localhost/x", "", "postgresql://host:port/x"])
def test_an_url_that_cannot_be_used_is_a_mistake_in_the_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        Database.open(url)


async def test_the_folder_of_an_sqlite_file_is_created_for_its_owner_only(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/new folder/deep/bobbin.db")
    await database.migrate()
    await database.close()
    assert (tmp_path / "new folder/deep/bobbin.db").exists()
    assert (tmp_path / "new folder/deep").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_created_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"folder .* cannot be made .* DATABASE_URL"):
        Database.open(f"sqlite:///{tmp_path}/file/bobbin.db")


async def test_an_in_memory_database_is_private_to_its_owner() -> None:
    one, other = Database.open("sqlite://"), Database.open("sqlite:///:memory:")
    for database in (one, other):
        await database.migrate()
    async with one.begin() as connection:
        await connection.execute(insert(people), [_person("U1")])
    assert (await _count(one), await _count(other)) == (1, 0)
    await one.close()
    await other.close()


async def test_an_unreachable_server_is_a_storage_error() -> None:
    database = Database.open("postgres://nobody:hush@127.0.0.1:1/none")
    for attempt in (database.ping, database.migrate):
        with pytest.raises(StorageError) as caught:
            await attempt()
        assert "hush" not in f"{caught.value} {caught.value.__cause__}"
    await database.close()


@pytest.mark.postgres
async def test_connections_that_the_server_closed_are_replaced(postgresql_url: str) -> None:
    database = Database.open(postgresql_url, timing=patient_timing())
    await database.migrate()
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    async def unit() -> None:
        async with database.begin() as doomed:
            await doomed.execute(insert(people), [_person("U1")])
            async with database.read() as connection:
                await connection.execute(text(cut))
            await doomed.execute(insert(people), [_person("U2")])

    with pytest.raises(StorageError):
        await unit()
    assert await _count(database) == 0
    await database.close()


async def test_a_database_stays_usable_after_a_writer_was_killed(database_url: str) -> None:
    script = (
        "import asyncio, sys\n"
        "from sqlalchemy import text\n"
        "from storage.engine.database import Database\n"
        "async def main():\n"
        "    database = Database.open(sys.argv[1])\n"
        "    await database.migrate()\n"
        "    async with database.begin() as connection:\n"
        "        await connection.execute(text('DELETE FROM people'))\n"
        "        print('writing', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, database_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"writing\n"
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    database = Database.open(database_url)
    async with database.begin() as connection:
        await connection.execute(insert(people), [_person("U1")])
    assert await _count(database) == 1
    await database.close()


@pytest.mark.parametrize("dialect", ["postgresql"])
@pytest.mark.postgres
async def test_an_idle_transaction_is_ended_so_that_others_can_write(database_url: str) -> None:
    idle = Database.open(database_url, timing=Timing(idle_transaction_timeout=1.0))
    other = Database.open(database_url, timing=patient_timing())
    await other.migrate()  # whose transaction idles too, on a busy machine
    async with other.begin() as connection:
        await connection.execute(insert(people), [_person("U1")])

    async def be_idle_in_a_transaction() -> None:
        async with idle.begin() as connection:
            await connection.execute(delete(people))
            async with (
                asyncio.timeout(WAIT_TIMEOUT),
                other.begin() as second,
            ):  # waits for the same row
                await second.execute(delete(people))

    with pytest.raises(StorageError):
        await be_idle_in_a_transaction()
    assert await _count(idle) == 0
    await idle.close()
    await other.close()
