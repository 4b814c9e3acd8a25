"""Connections to PostgreSQL that stay open but do not respond: no statement waits for ever, and nothing happens
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from sqlalchemy import func, insert, select, text

from bot.errors import StorageError
from bot.timing import Timing
from storage.engine.database import Conflict, Database
from storage.engine.types import utc_now
from storage.tables import people
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.handlers.tcp_proxy import Mute, TcpProxy
from tests.slow import slow_after

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("dialect", ["postgresql"])]

SHORT = Timing(
    # Short, because each of them is waited for in full; long enough for a server, and for a test, that waits for a
    # processor.
    idle_transaction_timeout=3.0,
    database_connect_timeout=3.0,
    database_statement_timeout=2.0,
    database_lease_timeout=1.5,
    database_outcome_timeout=5.0,
)


@dataclass(frozen=True)
class Muted:
    """A database behind a proxy, with several connections open."""

    database: Database
    proxy: TcpProxy
    direct: Database
    """The same database without the proxy."""


@pytest.fixture
async def muted(migrated_url: str) -> AsyncIterator[Muted]:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(TcpProxy(migrated_url))
        database = Database.open(proxy.url, timing=SHORT)
        stack.push_async_callback(database.close)
        direct = Database.open(migrated_url, timing=patient_timing())
        stack.push_async_callback(direct.close)
        await asyncio.gather(*(_sleep(database) for _ in range(4)))
        async with database.begin(urgent=True):
            pass
        async with database.search():
            pass
        yield Muted(database, proxy, direct)


async def _sleep(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT pg_sleep(0.05)"))


async def _add(database: Database, name: str = "U1") -> None:
    row = {"team": "T1", "user": name, "always": False, "updated_at": utc_now()}
    async with database.begin() as connection:
        await connection.execute(insert(people), [row])


async def _count(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(people)) or 0


async def _read(database: Database) -> None:
    await _count(database)


async def _renew(database: Database) -> None:
    async with database.begin(urgent=True) as connection:
        await connection.execute(text("SELECT 1"))


async def _search(database: Database) -> None:
    async with database.search() as connection:
        await connection.execute(text("SELECT 1"))


USES = {
    "write": _add,
    "read": _read,
    "renewal": _renew,
    "search": _search,
    "ping": Database.ping,
}
WHAT_IS_LOST = pytest.mark.parametrize(
    "held", slow_after(1, [Mute.BOTH, Mute.REQUESTS, Mute.RESPONSES])
)


@WHAT_IS_LOST
@pytest.mark.parametrize("use", USES)
async def test_an_unresponsive_connection_is_noticed_and_replaced(
    muted: Muted, held: Mute, use: str
) -> None:
    """All open connections stop responding, and new ones work: as after a failover, or when a router drops them."""
    muted.proxy.mute(held, new=False)
    async with asyncio.timeout(WAIT_TIMEOUT):
        await USES[use](
            muted.database
        )  # the check before each use finds it, and discards all connections of its age


@WHAT_IS_LOST
@pytest.mark.parametrize("use", slow_after(1, USES))
async def test_an_unresponsive_server_is_an_error_until_it_responds_again(
    muted: Muted, held: Mute, use: str
) -> None:
    """New connections are accepted but do not respond either: a halted pooler."""
    muted.proxy.mute(held)
    async with asyncio.timeout(WAIT_TIMEOUT):
        for _ in range(2):
            with pytest.raises(StorageError, match="does not answer"):
                await USES[use](muted.database)
        muted.proxy.mute(Mute.NOTHING)
        await USES[use](muted.database)


@WHAT_IS_LOST
async def test_a_connection_that_stops_responding_within_a_statement_is_noticed(
    muted: Muted, held: Mute
) -> None:
    reached = muted.proxy.mute_at(b"pg_sleep", held, new=False)
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(StorageError, match="does not answer"):
            await _sleep(muted.database)
        assert reached.is_set()
        await _sleep(muted.database)


@pytest.mark.parametrize("held", slow_after(1, [Mute.REQUESTS, Mute.BOTH]))
async def test_a_commit_that_the_server_never_received_is_a_failure_and_happens_once(
    muted: Muted, held: Mute
) -> None:
    """Afterwards the COMMIT that was held back arrives, and changes nothing."""
    muted.proxy.mute_at(b"COMMIT", held, new=False)
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(StorageError, match="does not answer"):
            await _add(muted.database)
        assert await _count(muted.direct) == 0
        while not await _is_added(muted.database):  # like a caller that must store something
            pass
    muted.proxy.mute(Mute.NOTHING)  # a COMMIT that was held arrives
    await asyncio.sleep(0.1)
    assert await _count(muted.direct) == 1


@pytest.mark.parametrize("how", ["mute", "cut"])
async def test_a_commit_carried_out_without_confirmation_is_a_success(
    muted: Muted, how: str
) -> None:
    if how == "mute":
        muted.proxy.mute_at(b"COMMIT", Mute.RESPONSES, new=False)
    else:
        muted.proxy.cut_at(b"COMMIT", after=b"people")
    async with asyncio.timeout(WAIT_TIMEOUT):
        await _add(muted.database)
    assert await _count(muted.direct) == 1


async def test_a_commit_stays_unknown_while_nobody_can_be_asked_about_it(muted: Muted) -> None:
    muted.proxy.mute_at(b"COMMIT", Mute.RESPONSES)
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(StorageError, match="does not answer"):
            await _add(muted.database)
    assert await _count(muted.direct) == 1


END_AT_COMMIT = """
CREATE FUNCTION end_this() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_terminate_backend(pg_backend_pid());
        RETURN NULL;
    END
$$;
CREATE CONSTRAINT TRIGGER end_this AFTER INSERT ON people DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION end_this();
"""
WARN = "DO $$ BEGIN RAISE WARNING 'going down' USING ERRCODE = 'crash_shutdown'; END $$"


@pytest.mark.parametrize("how", ["ended", "crash", "refused"])
async def test_a_server_that_goes_down_is_not_asked_about_a_commit(
    muted: Muted, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may lose the transaction, and give its id to another."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        if how == "ended":
            async with muted.direct.begin() as connection:
                await connection.execute(text(END_AT_COMMIT))
            with pytest.raises(StorageError, match="AdminShutdown"):
                await _add(muted.database)
        elif how == "crash":
            muted.proxy.cut_at(b"COMMIT", after=b"going down")
            with pytest.raises(StorageError, match="has crashed"):
                async with muted.database.begin() as connection:
                    await connection.execute(text(WARN))
        else:
            reached = muted.proxy.mute_at(b"COMMIT", Mute.RESPONSES, new=False)
            adding = asyncio.create_task(_add(muted.database))
            await reached.wait()
            refusing = asyncio.create_task(muted.proxy.refuse())
            with pytest.raises(StorageError, match="does not answer"):
                await adding
            muted.proxy.mute(Mute.NOTHING)
            await refusing
    outcomes = [
        each.__dict__["outcome"] for each in caplog.records if each.message == "commit_unanswered"
    ]
    assert outcomes == ["unknown"]


async def _is_added(database: Database) -> bool:
    try:
        await _add(database)
    except Conflict:
        return True
    except StorageError:
        return False
    return True


async def test_rows_locked_by_an_unresponsive_transaction_are_soon_free(muted: Muted) -> None:
    await _add(muted.direct)
    change = text("UPDATE people SET always = true RETURNING pg_backend_pid()")

    async def hold() -> None:
        async with muted.database.begin() as connection:
            await connection.execute(change)
            muted.proxy.mute(Mute.BOTH, new=False)

    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(StorageError):
            await hold()
        async with muted.direct.begin() as connection:
            await connection.execute(change)


async def test_a_cancelled_caller_does_not_wait_for_an_unresponsive_server(muted: Muted) -> None:
    """Neither for the statement nor for its cancellation."""
    reached = muted.proxy.mute_at(b"pg_sleep", Mute.BOTH)
    async with asyncio.timeout(WAIT_TIMEOUT):
        for database in (Database.open(muted.proxy.url), muted.database):  # with usual limits
            task = asyncio.create_task(_sleep(database))
            await reached.wait()
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait([task])
            await database.close()


@pytest.mark.parametrize("word", [None, b"pg_try_advisory_xact_lock"], ids=["all", "the lock"])
async def test_a_migration_does_not_wait_for_an_unresponsive_server(
    muted: Muted, word: bytes | None
) -> None:
    if word is None:
        muted.proxy.mute(Mute.BOTH)
    else:
        muted.proxy.mute_at(word, Mute.BOTH)
    async with asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(StorageError, match="does not answer"):
            await muted.database.migrate()
        muted.proxy.mute(Mute.NOTHING)
        await muted.database.migrate()


async def test_a_server_that_was_away_is_logged_once_and_when_it_is_back(
    muted: Muted, caplog: pytest.LogCaptureFixture
) -> None:
    muted.proxy.mute(Mute.BOTH)
    async with asyncio.timeout(WAIT_TIMEOUT):
        failed = await asyncio.gather(
            *(_read(muted.database) for _ in range(6)), return_exceptions=True
        )
        assert {type(each).__name__ for each in failed} == {"DatabaseFailed"}
        muted.proxy.mute(Mute.NOTHING)
        await _read(muted.database)
    logged = [each for each in caplog.records if each.name == "storage.engine.database"]
    assert [each.message for each in logged] == ["database_lost", "database_back"]
    lost = logged[0].__dict__
    assert lost["reason"] == "the database does not answer"
    assert lost["database"].startswith("PostgreSQL at 127.0.0.1:")
