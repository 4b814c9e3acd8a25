"""The transport relies on one private attribute of httpx-aiohttp, so it is tested against the installed version."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from bot.providers.transport import create_client, reading_paused
from tests.providers.scripted_server import ReceivedRequest, ResponseWriter, ScriptedServer


async def test_paused_response_receives_nothing_until_it_is_resumed() -> None:
    """Fails when httpx-aiohttp no longer gives access to the connection, which would make the pause a no-op."""

    async def behaviour(request: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for number in range(6):
            await out.chunk(b"%d " % number)
            await asyncio.sleep(0.05)
        await out.end()

    async with (
        ScriptedServer(behaviour).running() as server,
        create_client() as client,
        client.stream("POST", server.url, json={}) as response,
    ):
        blocks = response.aiter_bytes()
        first = await anext(blocks)
        with reading_paused(response):
            await asyncio.sleep(0.5)  # everything has been sent by now
        second = await anext(blocks)
        rest = [block async for block in blocks]
    assert b"".join([first, second, *rest]) == b"0 1 2 3 4 5 "
    assert second.count(b" ") > 1, "the pieces that arrived during the pause were not read together"


def test_httpx_aiohttp_is_of_the_tested_series() -> None:
    """Read `bot/providers/transport.py` again before raising the upper bound in pyproject.toml."""
    assert version("httpx-aiohttp").startswith("0.2.")
