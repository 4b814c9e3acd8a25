"""What a program said is due in the chat's thread until it is shown there, and is shown once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.test_slack_and_api import chat_of, messages_through_api, section_of
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World
from tests.slow import slow_after


@pytest.fixture
async def world(worlds: WorldFactory) -> AsyncIterator[World]:
    """A Slack in which a call takes effect soon or never."""
    async with worlds(timing=patient_timing(late_effect=2.0)) as settled_soon:
        yield settled_soon


async def said(world: World, api: Api, fault: dict[str, Any]) -> str:
    """A program says something while Slack has this fault; gives the thread."""
    world.say("Hello from Slack.", "Hello from the program.")
    thread = await world.start("first, in slack")
    await world.answered(thread, 1)
    await world.idle()
    world.slack.faults.add("chat.postMessage", **fault)
    await api.say((await chat_of(api))["id"], "second, by a program")
    return thread


@pytest.mark.parametrize(
    "fault",
    slow_after(
        2,
        [
            {"mode": "status", "status": 503},
            {"mode": "lost"},
            {"mode": "status", "status": 503, "times": 3},
            {"mode": "error", "error": "internal_error"},
            {"mode": "ratelimited"},
        ],
    ),
    ids=["503", "lost response", "503 three times", "internal error", "429"],
)
async def test_it_is_shown_once_after_slack_has_failed(
    world: World, api: Api, fault: dict[str, Any]
) -> None:
    thread = await said(world, api, fault)
    await world.until(lambda: messages_through_api(world, thread), "it is shown")
    await world.idle()

    (echo,) = messages_through_api(world, thread)
    assert section_of(echo) == "alice (via API): second, by a program"


async def test_it_is_shown_by_the_next_process(world: World, api: Api) -> None:
    thread = await said(world, api, {"mode": "status", "status": 503, "times": -1})
    await world.stop_bot()
    assert messages_through_api(world, thread) == []
    world.slack.faults.clear()
    await world.start_bot()
    await world.until(lambda: messages_through_api(world, thread), "it is shown")
    await world.idle()

    assert len(messages_through_api(world, thread)) == 1
