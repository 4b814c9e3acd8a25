"""A program's searches of many chats in an SQLite file disturb nobody who writes in Slack."""

from __future__ import annotations

import asyncio

from tests.api.conftest import Api, WorldFactory, client, token_for
from tests.handlers.bulk_chats import insert_chats

CHATS = 6_000
TEXT = "The quick brown fox jumps over the lazy dog, and the näive dög jumps back. " * 25
"""Two kilobytes, so that the file holds some twenty megabytes."""


async def test_events_are_acknowledged_at_once_while_programs_search(worlds: WorldFactory) -> None:
    """Every event of Slack is delivered once, and words that only an old chat contains are found all the same."""
    async with worlds() as world:
        token = await token_for(world)
        await insert_chats(
            world, CHATS, text=lambda number: f"Zanzibar {TEXT}" if number == 0 else TEXT
        )
        async with client(world, token) as http:
            api = Api(http, token)
            searching = asyncio.Event()
            found: list[int] = []

            async def search() -> None:
                while searching.is_set():
                    page = await api.ask("GET", "/chat/conversations", params={"q": "zanzibar"})
                    found.append(len(page["conversations"]))

            searching.set()
            searches = [asyncio.create_task(search()) for _ in range(6)]
            thread = await world.start("Hello?")
            await world.answered(thread)
            for number in range(2, 5):
                await world.slack.conversations.say("bob", "general", f"And {number}?", thread)
                await world.answered(thread, number)
            searching.clear()
            await asyncio.gather(*searches)
    assert set(found) == {1}
    assert {len(delivery.attempts) for delivery in world.slack.deliveries} == {1}
