"""Claims on actions: only one replica gets each, a dead one does not keep it, and old ones are deleted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

import storage.action_claims
from storage.action_claims import ActionClaims, Turn
from storage.engine.database import Database
from storage.tables import done_once

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_one_of_many_replicas_gets_an_action(rivals: list[Database]) -> None:
    claims = [ActionClaims(database).claim("press", "1", seconds=20.0) for database in rivals * 4]
    assert sorted(await asyncio.gather(*claims)) == [*[False] * 11, True]


async def test_a_claim_expires_unless_it_is_kept(database: Database) -> None:
    claims = ActionClaims(database)
    assert await claims.claim("a", seconds=0.0)
    assert await claims.claim("a", seconds=0.0)
    await claims.keep("a")
    assert not await claims.claim("a", seconds=20.0)


async def test_a_process_that_stalled_beyond_its_claim_does_not_end_anothers(
    database: Database,
) -> None:
    stalled, second, third = (ActionClaims(database) for _ in range(3))
    assert await stalled.claim("a", seconds=0.0)
    assert await second.claim("a", seconds=20.0)
    await stalled.keep("a", seconds=0.0)
    assert not await third.claim("a", seconds=20.0)
    await stalled.release("a")
    assert not await third.claim("a", seconds=20.0)
    await second.release("a")
    assert await third.claim("a", seconds=20.0)


async def test_a_process_that_could_not_renew_its_claim_does_not_get_it_twice(
    database: Database,
) -> None:
    """Another one does, which cannot know whether the first is alive."""
    claims = ActionClaims(database)
    assert await claims.claim("a", seconds=3600.0)
    async with claims.renewing("a", seconds=3600.0):
        await claims.keep("a", seconds=0.0)  # as if no renewal had been stored for long
        assert not await claims.claim("a", seconds=0.0)
        assert await ActionClaims(database).claim("a", seconds=0.0)
    assert await claims.claim("a", seconds=0.0)


async def test_a_failed_attempt_is_left_to_the_next(database: Database) -> None:
    claims = ActionClaims(database)
    with pytest.raises(RuntimeError):
        await _fail(claims)
    for turn in (Turn.MINE, Turn.DONE):
        async with claims.attempt("a", seconds=20.0) as got:
            assert got is turn


async def _fail(claims: ActionClaims) -> None:
    async with claims.attempt("a", seconds=20.0) as turn:
        assert turn is Turn.MINE
        raise RuntimeError


async def test_expired_claims_are_deleted(database: Database) -> None:
    claims = ActionClaims(database)
    many = storage.action_claims.FORGET_BATCH + 1
    rows = [{"key": str(number), "kept_until": _LONG_AGO} for number in range(many)]
    async with database.begin() as connection:
        await connection.execute(done_once.insert(), rows)
    await claims.claim("a", seconds=20.0)
    await claims.forget_old()
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(done_once)) == 1
