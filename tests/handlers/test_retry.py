"""Retry works as soon as a failure is stored, whoever shows it, and says why if it has no effect."""

from __future__ import annotations

import asyncio

import pytest

from bot.config.chats import StreamMode
from bot.sandbox.models.scripts import Fault, ModelScript
from handlers.rate_limits.slack_rates import POST
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_presses import press_at_once
from tests.handlers.world import MODEL, World, elements, shown
from tests.slow import slow_after


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_retry_works_in_the_first_moment(worlds: WorldFactory, mode: StreamMode) -> None:
    async with worlds(bobbin_stream=mode) as world:
        for text in ("", "Half of"):
            presses = press_at_once(world, "retry_answer")
            world.models.queue(
                MODEL,
                ModelScript(text.split(), fault=Fault("http", status=401, after=len(text.split()))),
            )
            world.say("It works now.")
            thread = await world.start("Quick?")
            await world.until(
                lambda thread=thread: (
                    [shown(m) for m in world.answers(thread)]  # type: ignore[misc]
                    == ["It works now."]
                ),
                "the second attempt",
            )
            await asyncio.gather(*presses)
            await world.idle()
            assert world.whispers("alice") == []
            assert [row["status"] for row in world.ended(thread)] == ["done"]


async def test_a_failure_that_was_stored_is_shown_by_the_next_process(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_grace=0.0, timing=patient_timing(last_write_timeout=0.1)) as world:
        thread = await world.start("Hello.")
        await world.answered(thread)
        fault = world.slack.faults.add(POST, "hang", times=-1, seconds=3_600.0)
        world.fail("http", status=401)
        await world.slack.conversations.say("alice", "general", "Will you fail?", thread)
        await world.until(lambda: fault.hits, "the failure is to be shown")
        last = world.rows("SELECT status FROM messages ORDER BY number DESC LIMIT 1")
        assert last == [{"status": "failed"}]
        await world.stop_bot()
        world.slack.faults.clear()
        await world.start_bot()
        await world.answered(thread, 2)
        (failed,) = [m for m in world.answers(thread) if elements(m, "retry_answer")]
        world.say("It works now.")
        await world.slack.interactions.press("alice", failed, "retry_answer")
        await world.until(lambda: shown(failed) == "It works now.", "the second attempt")


async def test_a_retry_that_has_no_effect_says_why(world: World) -> None:
    world.fail("http", status=401)
    world.say("It works now.")
    thread = await world.start("Hello.")
    await world.answered(thread)
    (failed,) = world.answers(thread)
    button = elements(failed, "retry_answer")[0]
    await world.slack.interactions.press("alice", failed, "retry_answer")
    await world.until(lambda: shown(failed) == "It works now.", "the second attempt")
    await world.idle()
    answer_id = world.ended(thread)[0]["message_id"]
    assert button["value"] == answer_id
    assert world.bot is not None
    assert await world.bot.service.retry(answer_id) is None
