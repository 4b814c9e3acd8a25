"""An API message is due in the chat's thread until it is shown there, and is shown once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.api.conftest import Api, client, token_for
from tests.api.test_slack_and_api import chat_of, messages_through_api, section_of
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import scripted_world
from tests.handlers.world import World, shown
from tests.providers.parsing import STOP
from tests.providers.scripted_server import DONE, ReceivedRequest, ResponseWriter, delta
from tests.slow import slow_after


@pytest.fixture
async def world(worlds: WorldFactory) -> AsyncIterator[World]:
    """A Slack in which a call takes effect soon or never."""
    async with worlds(timing=patient_timing(late_effect=2.0, chore_pause=0.2)) as settled_soon:
        yield settled_soon


@asynccontextmanager
async def api_of(world: World) -> AsyncIterator[Api]:
    async with client(world, await token_for(world)) as http:
        yield Api(http, "")


async def said(world: World, api: Api, fault: dict[str, Any]) -> str:
    """An API client sends a message while Slack has this fault; returns the thread."""
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


async def test_a_late_echo_of_a_dead_process_is_removed(
    worlds: WorldFactory,
) -> None:
    """The next process finds none, and the answer does not wait until a late one is impossible."""
    timing = patient_timing(late_effect=20.0, question_pause=0.1, question_timeout=0.1)
    async with worlds(timing=timing) as world, api_of(world) as api:
        fault = {"mode": "slow", "seconds": 3_600.0, "times": 1}
        thread = await said(world, api, fault)
        await world.restart()
        await world.until(lambda: messages_through_api(world, thread), "the next one shows it")
        (kept,) = messages_through_api(world, thread)
        world.slack.faults.release()
        await world.until(lambda: world.slack.calls_of("chat.delete"), "the late one is removed")
        assert messages_through_api(world, thread) == [kept]


async def test_the_answers_first_words_wait_for_it_and_for_nothing_else(
    worlds: WorldFactory,
) -> None:
    """At the same time the header gets its Stop button, but Slack does not respond to that call."""
    goes_on = asyncio.Event()
    goes_on.set()

    async def answer(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta("First words."))
        await goes_on.wait()
        await out.chunk(STOP)
        await out.chunk(DONE)
        await out.end()

    timing = patient_timing(question_timeout=3_600.0)
    async with (
        scripted_world(worlds, answer, timing=timing) as (world, _),
        api_of(world) as api,
    ):
        world.leave_unfinished()
        thread = await world.start("first, in slack")
        await world.answered(thread)
        await world.idle()
        header = world.header(thread).ts
        fault = world.slack.faults.add("chat.update", "hang", ts=header, times=-1, seconds=3_600.0)
        goes_on.clear()
        chat = await chat_of(api)
        saying = asyncio.ensure_future(api.say(chat["id"], "second, by a program"))
        await world.until(lambda: fault.hits, "the header")
        await world.until(lambda: shown(world.answers(thread)[1]) == "First words.", "the words")
        assert len(messages_through_api(world, thread)) == 1
        goes_on.set()
        await saying
