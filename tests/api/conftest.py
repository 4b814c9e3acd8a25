"""Fixtures for API tests: the whole product, reached over HTTP with a token issued to a person."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.deadlines import WAIT_TIMEOUT
from tests.handlers.conftest import WorldFactory, log, worlds
from tests.handlers.world import World
from tests.local_http import local_client

__all__ = ["WorldFactory", "log", "worlds"]


async def token_for(world: World, user: str = "alice") -> str:
    """What `/chats token` shows to this person."""
    (shown,) = await world.slack.interactions.command(user, "general", "/chats", "token")
    found = re.search(r"bob_[\w-]{43}", shown.text)
    assert found, shown.text
    return found[0]


def address(world: World) -> str:
    assert world.bot is not None
    return world.bot.url


class Api:
    """A client that knows the API's address and one token."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self.http, self.token = http, token

    async def ask(self, method: str, path: str, expected: int = 200, **arguments: Any) -> Any:
        """The body of the response, whose status must be the expected one."""
        response = await self.http.request(method, path, **arguments)
        assert response.status_code == expected, (response.status_code, response.text)
        return response.json()

    async def conversation(self, **given: Any) -> str:
        """A new conversation's id."""
        made = await self.ask("POST", "/chat/conversations", 201, json=given)
        return str(made["conversation"]["id"])

    async def say(self, conversation: str, content: str, expected: int = 201, **more: Any) -> Any:
        path = f"/chat/conversations/{conversation}/messages"
        return await self.ask("POST", path, expected, json={"content": content}, **more)

    async def history(self, conversation: str) -> Any:
        return await self.ask("GET", f"/chat/conversations/{conversation}")


def client(world: World, token: str | None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return local_client(base_url=address(world), headers=headers, timeout=WAIT_TIMEOUT)


@pytest.fixture
async def world(worlds: WorldFactory) -> AsyncIterator[World]:
    async with worlds() as usual:
        yield usual


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    """Alice's API client."""
    token = await token_for(world)
    async with client(world, token) as http:
        yield Api(http, token)


@pytest.fixture
async def bobs(world: World) -> AsyncIterator[Api]:
    """Bob's API client."""
    token = await token_for(world, "bob")
    async with client(world, token) as http:
        yield Api(http, token)
