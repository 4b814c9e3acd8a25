"""API tokens: their lifetime, and what their owner is shown."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.access.conftest import WorldFactory
from tests.api.conftest import client
from tests.handlers.world import World


async def shown(world: World, text: str) -> str:
    (answer,) = await world.slack.interactions.command("alice", "general", "/chats", text)
    return answer.text


def lives(world: World) -> list[float | None]:
    """Days for which each token is valid, in the order in which they were made."""
    query = "SELECT julianday(expires_at) - julianday(created_at) AS days FROM api_tokens ORDER BY rowid"
    return [None if r["days"] is None else round(r["days"], 3) for r in world.rows(query)]


async def test_a_token_lives_as_long_as_asked_and_no_longer_than_the_setting(
    worlds: WorldFactory,
) -> None:
    async with worlds() as world:
        for text in ("token", "token 30d", "token 12h", "token  2 w", "TOKEN 1D"):
            assert "bob_" in await shown(world, text)
        assert lives(world) == [None, 30.0, 0.5, 14.0, 1.0]
        await world.restart(bobbin_token_life=timedelta(days=7))
        for text in ("token", "token 30d", "token 2d"):
            assert "bob_" in await shown(world, text)
        assert lives(world)[5:] == [7.0, 7.0, 2.0]


@pytest.mark.parametrize("life", ["0d", "99999999d", "4000d"])
async def test_a_life_that_cannot_be_is_explained(worlds: WorldFactory, life: str) -> None:
    async with worlds() as world:
        answer = await shown(world, f"token {life}")
        assert "/chats token 30d" in answer
        assert world.rows("SELECT 1 FROM api_tokens") == []


async def test_other_words_after_token_are_a_search(worlds: WorldFactory) -> None:
    async with worlds() as world:
        await shown(world, "token economics")
        assert world.rows("SELECT 1 FROM api_tokens") == []


async def test_tokens_are_listed_with_their_dates(worlds: WorldFactory) -> None:
    async with worlds() as world:
        first = re.search(r"bob_[\w-]{43}", await shown(world, "token"))
        assert first is not None
        async with client(world, first[0]) as http:
            assert (await http.get("/chat/conversations")).status_code == 200
        lines = (await shown(world, "token 30d")).splitlines()
        newest, used = (line for line in lines if line.startswith("• "))
        assert re.search(r"made <!date.*ends <!date.*never used", newest)
        assert re.search(r"made <!date.*valid until revoked.*last used <!date", used)
        assert first[0] not in "\n".join(lines)
        assert "(2)" in "\n".join(lines)


async def test_an_expired_token_is_none(worlds: WorldFactory) -> None:
    async with worlds() as world:
        token = re.search(r"bob_[\w-]{43}", await shown(world, "token 1h"))
        assert token is not None
        await world.execute("UPDATE api_tokens SET expires_at = '2020-01-01 00:00:00'")
        async with client(world, token[0]) as http:
            assert (await http.get("/chat/conversations")).status_code == 401
        assert "(1)" in await shown(world, "token")
