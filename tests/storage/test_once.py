"""What is done once: one of many gets to do it, a dead one does not keep it, and it is forgotten in time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

import storage.once
from storage.engine.database import Database
from storage.once import Once
from storage.tables import done_once

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_one_of_many_replicas_gets_to_do_it(rivals: list[Database]) -> None:
    claims = [Once(database).claim("press", "1") for database in rivals * 4]
    assert sorted(await asyncio.gather(*claims)) == [*[False] * 11, True]


async def test_a_claim_lapses_unless_it_is_kept(database: Database) -> None:
    once = Once(database)
    assert await once.claim("a", seconds=0.0)
    assert await once.claim("a", seconds=0.0)
    await once.keep("a")
    assert not await once.claim("a")


async def test_a_failed_attempt_is_left_to_the_next(database: Database) -> None:
    once = Once(database)
    with pytest.raises(RuntimeError):
        await _fail(once)
    async with once.attempt("a") as is_first:
        assert is_first
    async with once.attempt("a") as is_first:
        assert not is_first


async def _fail(once: Once) -> None:
    async with once.attempt("a") as is_first:
        assert is_first
        raise RuntimeError


async def test_what_counts_no_more_is_deleted(database: Database) -> None:
    once = Once(database)
    many = storage.once.FORGET_BATCH + 1
    rows = [{"key": str(number), "kept_until": _LONG_AGO} for number in range(many)]
    async with database.begin() as connection:
        await connection.execute(done_once.insert(), rows)
    await once.claim("a")
    await once.forget_old()
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(done_once)) == 1
