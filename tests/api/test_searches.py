"""An API client's searches of many chats in an SQLite file disturb nobody who writes in Slack."""

from __future__ import annotations

import asyncio

from bot import strings
from tests.api.conftest import Api, WorldFactory, client, token_for
from tests.deadlines import patient_timing
from tests.handlers.bulk_chats import insert_chats
from tests.handlers.test_home import home

CHATS = 6_000
TEXT = "The quick brown fox jumps over the lazy dog, and the näive dög jumps back. " * 25
"""Two kilobytes, so that the file holds some twenty megabytes."""


async def test_events_are_acknowledged_at_once_while_programs_search(worlds: WorldFactory) -> None:
    """Every event is delivered once, and words that only an old chat contains are still found."""
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


async def test_a_search_beyond_its_limit_says_what_to_do(worlds: WorldFactory) -> None:
    """In the API, in `/chats` and in the Home tab; lists without search words work as always."""
    async with worlds(timing=patient_timing(database_search_timeout=0.005)) as world:
        token = await token_for(world)
        await insert_chats(world, CHATS, text=lambda _: TEXT)
        async with client(world, token) as http:
            api = Api(http, token)
            path = "/chat/conversations"
            refused = await api.ask("GET", path, 422, params={"q": "zanzibar"})
            assert refused["message"] == strings.SEARCH_TOO_LONG
            assert (await api.ask("GET", path))["conversations"]
        command = world.slack.interactions.command
        (shown,) = await command("alice", "general", "/chats", "zanzibar")
        assert shown.text == strings.SEARCH_TOO_LONG
        (shown,) = await command("alice", "general", "/chats")
        assert shown.text.startswith(strings.CHATS_FALLBACK)

        view = await home(world)
        act = {"action_id": "home_search", "value": "zanzibar"}
        await world.slack.interactions.act("alice", view, act)
        await world.until(
            lambda: any(
                call.args.get("text") == strings.SEARCH_TOO_LONG
                and call.args["channel"] == "U0ALICE"
                for call in world.slack.calls_of("chat.postMessage")
            ),
            "why",
        )


async def test_a_list_that_takes_longer_than_slack_waits_is_shown_later(
    worlds: WorldFactory,
) -> None:
    async with worlds(timing=patient_timing(command_patience=0.0)) as world:
        await insert_chats(world, 3)
        await world.slack.interactions.command("alice", "general", "/chats", "question")
        await world.until(lambda: world.whispers("alice"), "the list")
        (shown,) = world.whispers("alice")
        assert shown.startswith(strings.CHATS_FALLBACK)
