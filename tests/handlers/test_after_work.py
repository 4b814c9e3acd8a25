"""An answer is asked for, written, shown and ended although everything that is not its text hangs or fails.

Waits that end by themselves are made endless here, so that an answer which waits for decoration never ends.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.config.chats import StreamMode
from bot.sandbox.limits import Limits
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript
from handlers.rate_limits.token_bucket import APPEND, POST, RATES, START, STOP, UPDATE, Rate
from handlers.threads.queued_reaction import REACTION
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_presses import press_at_once
from tests.handlers.world import MODEL, World, elements, shown

ENDLESS = 3_600.0
PATIENT = patient_timing(
    session_call_timeout=ENDLESS,
    chore_timeout=ENDLESS,
    user_name_timeout=0.2,
    question_timeout=0.5,
    late_effect=ENDLESS,
    session_start_delay=0.0,
)
PLENTY = {method: Rate(1_000.0, 1_000.0) for method in RATES}
CARRIERS = {
    StreamMode.NATIVE: frozenset({START, APPEND, STOP}),
    StreamMode.EDIT: frozenset({POST, UPDATE}),
}
FAULTS: dict[str, dict[str, Any]] = {
    "hangs": {"mode": "hang", "seconds": ENDLESS},
    "fails": {"mode": "status", "status": 503},
    "is refused": {"mode": "ratelimited", "retry_after": 1},
}
TEXT = " ".join(f"Word{n} and q{n}." for n in range(30))


async def say(world: World, text: str, thread: str) -> str:
    return await world.slack.conversations.say("alice", "general", text, thread)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("mode", CARRIERS)
async def test_answers_follow_each_other_although_all_other_methods_fail(
    worlds: WorldFactory, mode: StreamMode, fault: str
) -> None:
    """Three questions are written while the first answer runs, so that each of them is marked as queued."""
    async with worlds(
        limits=Limits.off(), timing=PATIENT, rates=PLENTY, bobbin_stream=mode
    ) as world:
        world.leave_unfinished()
        thread = await world.start("Hello.")
        await world.answered(thread)
        for method in sorted(RATES.keys() - CARRIERS[mode]):
            world.slack.faults.add(method, times=-1, **FAULTS[fault])
        texts = [f"{n}. {TEXT}" for n in range(4)]
        world.say(*texts, rate=300)
        for n in range(4):
            await say(world, f"Question {n}?", thread)
        assert (await world.answered(thread, 5))[1:] == texts
        asked = [request[-1][1] for request in world.requests()]
        assert asked == ["Hello.", *(f"Question {n}?" for n in range(4))]
        world.slack.faults.clear()


@pytest.mark.parametrize(("mode", "method"), [(StreamMode.NATIVE, START), (StreamMode.EDIT, POST)])
@pytest.mark.parametrize("fault", [{"mode": "status", "status": 500}, {"mode": "lost"}])
async def test_a_failed_first_call_of_an_answer_does_not_delay_the_next_one(
    worlds: WorldFactory, mode: StreamMode, method: str, fault: dict[str, Any]
) -> None:
    """What the call may still bring about is looked for after `late_effect`, which is endless here."""
    async with worlds(timing=PATIENT, rates=PLENTY, bobbin_stream=mode) as world:
        world.leave_unfinished()
        world.forgive("message_not_in_streaming_state")
        thread = await world.start("Hello.")
        await world.answered(thread)
        world.slack.faults.add(method, **fault)
        world.say("The first.", "The second.")
        await say(world, "One?", thread)
        await say(world, "Two?", thread)
        assert (await world.answered(thread, 3))[1:] == ["The first.", "The second."]
        assert ("find_strays" in world.chores()) is (fault["mode"] == "status")


async def test_the_next_model_is_asked_as_soon_as_the_text_is_stored(world: World) -> None:
    """The end of the first answer is not visible yet. The second one's words come below it all the same."""
    thread = await world.start("Hello.")
    await world.answered(thread)
    fault = world.slack.faults.add(STOP, "hang", seconds=ENDLESS)
    world.say("The first.", "The second.")
    await say(world, "One?", thread)
    await say(world, "Two?", thread)
    await world.until(lambda: len(world.requests()) == 3, "the model is asked again")
    await world.until(lambda: fault.hits, "the end of the first answer is on its way")
    states = [row["state"] for row in world.rows("SELECT state FROM answers ORDER BY number")]
    assert states[:2] == ["ended", "showing"]
    world.slack.faults.clear()
    assert (await world.answered(thread, 3))[1:] == ["The first.", "The second."]


# -- after-work survives -------------------------------------------------------------------------------------------


async def test_a_mark_is_lifted_by_the_next_process(worlds: WorldFactory) -> None:
    async with worlds(bobbin_grace=0.0) as world:
        thread = await world.start("Hello.")
        await world.answered(thread)
        fault = world.slack.faults.add("reactions.remove", "hang", seconds=ENDLESS)
        world.say(TEXT, rate=30)
        await say(world, "One?", thread)
        ts = await say(world, "Two?", thread)
        asking = world.slack.workspace.message("general", ts)
        await world.until(lambda: REACTION in asking.reactions, "the mark")
        await world.until(lambda: fault.hits, "the mark is to be lifted")
        await world.answered(thread, 3)
        assert REACTION in asking.reactions
        await world.restart()
        await world.until(lambda: REACTION not in asking.reactions, "no mark")
        await world.idle()


def hesitate(asked: Any) -> ModelScript | None:
    """The model that writes titles is silent."""
    return ModelScript(["Never"], first_after=ENDLESS) if asks_for_title(asked.messages) else None


async def test_a_title_is_written_by_the_next_process(world: World) -> None:
    world.models.answer_with(MODEL, hesitate)
    thread = await world.start("Name this, please.")
    await world.answered(thread)
    await world.until(
        lambda: any(asks_for_title(asked.messages) for asked in world.models.journal), "it is asked"
    )
    await world.restart()
    world.entitle("Found after a restart")
    await world.until(
        lambda: world.header(thread).text.startswith("*Found after a restart*"), "the title"
    )
    assert world.slack.agent_sessions.title("general", thread) == "Found after a restart"


async def test_a_chat_whose_first_answer_was_stopped_gets_a_title(world: World) -> None:
    world.entitle("Named all the same")
    world.say(TEXT * 5, rate=20)
    thread = await world.start("Tell me.")
    await world.until(lambda: len(world.answers(thread)[0].states) > 2, "it grows")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread)
    await world.until(
        lambda: world.header(thread).text.startswith("*Named all the same*"), "the title"
    )


async def test_a_failed_title_is_tried_again_with_the_next_answer(world: World) -> None:
    world.entitle(None)
    thread = await world.start("Hello.")
    await world.answered(thread)
    await world.idle()
    assert world.chats()[0]["title_by"] == "default"
    world.entitle("Found the second time")
    await say(world, "And go on.", thread)
    await world.until(
        lambda: world.header(thread).text.startswith("*Found the second time*"), "the title"
    )


# -- stored first, then shown --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", CARRIERS)
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
        fault = world.slack.faults.add(POST, "hang", times=-1, seconds=ENDLESS)
        world.fail("http", status=401)
        await say(world, "Will you fail?", thread)
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
