"""A model that writes no titles keeps no program waiting more than once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript
from tests.api.conftest import Api
from tests.handlers.world import MODEL, World

ENDLESS = 3_600.0


def never(asked: Any) -> ModelScript | None:
    """No title."""
    if not asks_for_title(asked.messages):
        return None
    return ModelScript(["Never said"], first_after=ENDLESS)


async def test_whoever_waits_for_a_title_is_told_that_the_model_is_slow(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that wait at the same moment, and everybody later; then a title is written again."""
    monkeypatch.setattr("bot.api.waiting.TITLE_TIMEOUT", ENDLESS)
    monkeypatch.setattr("bot.chats.titles.SLOW_AFTER", 1.0)
    world.leave_unfinished()
    world.models.answer_with(MODEL, never)
    chats = [await api.conversation() for _ in range(3)]
    said = await asyncio.gather(*(api.say(chat, "Hello.") for chat in chats))
    assert ["conversationTitle" in each for each in said] == [False] * 3
    monkeypatch.setattr("bot.chats.titles.SLOW_AFTER", ENDLESS)
    assert "conversationTitle" not in await api.say(await api.conversation(), "Hello again.")

    world.entitle("Written after all")
    await api.say(await api.conversation(), "Once more.")
    await world.until(
        lambda: any(chat["title"] == "Written after all" for chat in world.chats()), "a title"
    )
    last = await api.say(await api.conversation(), "And now?")
    assert last["conversationTitle"] == "Written after all"


async def test_an_old_slow_call_says_nothing_about_a_model_that_has_written_a_title_since(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own program waits no longer; those that come later do."""
    monkeypatch.setattr("bot.api.waiting.TITLE_TIMEOUT", ENDLESS)
    monkeypatch.setattr("bot.chats.titles.SLOW_AFTER", 2.0)
    world.leave_unfinished()
    world.models.answer_with(MODEL, never)
    slow = asyncio.ensure_future(api.say(await api.conversation(), "Hello."))
    await world.until(
        lambda: any(asks_for_title(asked.messages) for asked in world.models.journal), "asked"
    )
    monkeypatch.setattr("bot.chats.titles.SLOW_AFTER", ENDLESS)
    world.entitle("Written after all")
    await api.say(await api.conversation(), "Hello again.")
    await world.until(
        lambda: any(chat["title"] == "Written after all" for chat in world.chats()), "a newer title"
    )
    assert "conversationTitle" not in await slow
    last = await api.say(await api.conversation(), "And now?")
    assert last["conversationTitle"] == "Written after all"
