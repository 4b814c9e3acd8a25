"""What people can do about an answer: stop it in three ways, and retry a failed one in place."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bot import sentences, strings
from bot.config.chats import StreamMode
from bot.sandbox.models.scripts import Fault, ModelScript
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World, below, elements, shown
from tests.slow import slow_after

LONG = " ".join(f"word{n}" for n in range(400))
PART = "Half of an answer is"


# -- stop ----------------------------------------------------------------------------------------------------------


async def stop_by(world: World, way: str, thread: str) -> str:
    """Stops the answer; the id of who does."""
    if way == "button":
        await world.until(lambda: world.stop_buttons(thread), "the button")
        await world.slack.interactions.press("bob", world.header(thread), "stop_answer")
        return "U0BOB"
    if way == "word":
        await world.slack.conversations.say("alice", "general", "Stop!", thread)
    else:
        await world.slack.agent_sessions.stop("alice", "general", thread)
    return "U0ALICE"


@pytest.mark.parametrize(
    ("mode", "way"),
    slow_after(
        3,
        [
            (StreamMode.NATIVE, "button"),
            (StreamMode.EDIT, "word"),
            (StreamMode.NATIVE, "slack's own"),  # for edited answers see test_direct.py
            (StreamMode.NATIVE, "word"),
            (StreamMode.EDIT, "button"),
        ],
    ),
)
async def test_stop_keeps_the_text_and_cancels_the_model(
    worlds: WorldFactory, mode: StreamMode, way: str
) -> None:
    """However often Slack delivers the stop. The text is part of the history, and the chat continues."""
    async with worlds(bobbin_stream=mode) as world:
        world.forgive("stopped_by_user")
        world.slack.faults.copies = 4
        world.reply_to({"Talk for long.": LONG, "Go on.": "I went on."}, rate=40)
        thread = await world.start("Talk for long.")
        await world.until(lambda: "word20" in shown(world.answers(thread)[0]), "some words")

        by = await stop_by(world, way, thread)
        await world.answered(thread)
        await world.until(
            lambda: world.models.requests()[0].ended_at is not None, "the model's end"
        )
        await world.idle()

        (answer,) = world.answers(thread)
        text, _, mark = shown(answer).rpartition("\n\n")
        assert mark == strings.STOPPED_MARK
        if way != "slack's own":  # Slack may refuse the text before it tells who stopped it
            assert strings.STOPPED_BY.format(user=by) in below(answer)
        assert LONG.startswith(text)
        assert not world.slack.agent_sessions.can_stop(
            world.slack.workspace.channel("general").id, thread
        )
        assert world.models.requests()[0].cancelled
        assert [m["status"] for m in world.messages(thread)] == ["done", "stopped"]
        assert world.messages(thread)[1]["text"].startswith(text)

        await world.slack.conversations.say("alice", "general", "Go on.", thread)
        await world.answered(thread, 2)
        roles = [role for role, _ in world.requests()[1]]
        assert roles == ["system", "user", "assistant", "user"]
        assert world.requests()[1][2][1] == world.messages(thread)[1]["text"]


async def test_stop_works_before_the_first_word(world: World) -> None:
    world.models.queue(MODEL, ModelScript(["Never said."], first_after=30.0))
    thread = await world.start("Think for long.")
    await world.until(lambda: world.models.requests(), "the model is asked")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread)
    await world.idle()
    assert [shown(message) for message in world.answers(thread)] == [strings.STOPPED_MARK]
    assert world.models.requests()[0].cancelled


async def test_without_a_running_answer_stop_is_a_message_and_the_button_says_so(
    world: World,
) -> None:
    """The button is still there for somebody whose Slack has not heard that the answer has ended."""
    world.say(LONG, rate=400)
    thread = await world.start("A short one.")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    world.slack.faults.add("chat.update", "status", status=503, times=-1)
    await world.answered(thread)
    await world.slack.interactions.press("bob", world.header(thread), "stop_answer")
    await world.until(
        lambda: world.whispers("bob") == [strings.NOTHING_TO_STOP], "the private word"
    )
    world.slack.faults.clear()
    await world.slack.conversations.say("alice", "general", "stop", thread)
    await world.answered(thread, 2)
    assert world.requests()[1][-1] == ("user", "stop")


async def test_stop_is_not_a_question_while_the_answer_is_still_being_shown(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        world.say(LONG)
        thread = await world.ask("A long one.")
        world.slack.faults.add("chat.update", "status", status=503, times=-1)
        await world.choose(thread)
        await world.until(
            lambda: world.rows("SELECT 1 FROM answers WHERE state = 'showing'"), "the model's end"
        )
        await world.slack.conversations.say("alice", "general", "stop", thread)
        await world.slack.conversations.say("alice", "general", "And then?", thread)
        await world.until(lambda: len(world.messages(thread)) == 4, "the question after it")
        world.slack.faults.clear()
        await world.answered(thread, 2)
        await world.idle()
        assert [row["text"] for row in world.messages(thread)][0::2] == ["A long one.", "And then?"]


async def test_stopping_one_answer_lets_the_next_begin(world: World) -> None:
    world.reply_to({"Talk for long.": LONG, "And you?": "Fine."}, rate=40)
    thread = await world.start("Talk for long.")
    await world.until(lambda: world.answers(thread), "the first words")
    await world.slack.conversations.say("alice", "general", "And you?", thread)
    await world.until(lambda: len(world.messages(thread)) == 4, "it waits")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    assert (await world.answered(thread, 2))[1] == "Fine."


# -- failures and Retry --------------------------------------------------------------------------------------------

FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "401": ("key_rejected", {"kind": "http", "status": 401}),
    "403": ("no_access", {"kind": "http", "status": 403}),
    "402": ("no_credit", {"kind": "http", "status": 402}),
    "400": ("refused", {"kind": "http", "status": 400}),
    "413": ("too_long", {"kind": "http", "status": 413}),
    "context": (
        "too_long",
        {
            "kind": "http",
            "status": 400,
            "message": "This model's maximum context length is 8192 tokens.",
        },
    ),
    "HTML": (
        "garbled",
        {
            "kind": "body",
            "status": 200,
            "body": b"<html>Welcome!</html>",
            "headers": {"content-type": "text/html"},
        },
    ),
    "429 for long": ("busy", {"kind": "http", "status": 429, "headers": {"retry-after": "60"}}),
}


@pytest.mark.parametrize("name", slow_after(3, FAILURES))
async def test_a_failure_shows_a_reason_and_retry_in_place_of_the_answer(
    world: World, name: str
) -> None:
    code, fault = FAILURES[name]
    world.fail(**fault)
    world.say("Now it works.")
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    await world.idle()

    (failed,) = world.answers(thread)
    sentence = sentences.failure(code, "Demo: Quick").split("{")[0].split("(")[0]
    assert sentence[:30] in below(failed)
    assert elements(failed, "retry_answer")[0]["text"]["text"] == "Retry"
    assert len(world.models.requests()) == 1
    assert [(m["status"], m["error"]) for m in world.messages(thread)] == [
        ("done", None),
        ("failed", code),
    ]

    await world.slack.interactions.press("bob", failed, "retry_answer")
    await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the second answer")
    await world.idle()
    (answer,) = world.answers(thread)
    assert (answer.ts, shown(answer)) == (failed.ts, "Now it works.")
    assert elements(answer, "retry_answer") == []
    assert "Demo: Quick · " in below(answer)
    assert len(world.messages(thread)) == 2


@pytest.mark.parametrize(
    ("mode", "kind"),
    slow_after(
        3,
        [
            (StreamMode.NATIVE, "break"),
            (StreamMode.EDIT, "error"),
            (StreamMode.NATIVE, "end"),
            (StreamMode.EDIT, "break"),
            (StreamMode.NATIVE, "error"),
            (StreamMode.EDIT, "end"),
        ],
    ),
)
async def test_a_broken_off_answer_keeps_its_text_above_retry(
    worlds: WorldFactory, mode: StreamMode, kind: str
) -> None:
    """The model is called once: after its first text it is only called again by a person's Retry."""
    async with worlds(bobbin_stream=mode) as world:
        world.fail(kind, PART)
        thread = await world.start("Please answer me.")
        await world.answered(thread)
        await world.idle()
        (failed,) = world.answers(thread)
        assert shown(failed) == PART
        assert elements(failed, "retry_answer")
        assert len(world.models.requests()) == 1

        world.say("A whole answer.")
        await world.slack.interactions.press("alice", failed, "retry_answer")
        await world.until(
            lambda: world.messages(thread)[1]["status"] == "done", "the second answer"
        )
        await world.idle()
        assert [(m.ts, shown(m)) for m in world.answers(thread)] == [(failed.ts, "A whole answer.")]


async def test_a_silent_model_is_a_failure(worlds: WorldFactory) -> None:
    async with worlds(bobbin_model_timeout=0.4) as world:
        world.fail("hang", PART)
        thread = await world.start("Please answer me.")
        await world.answered(thread)
        assert below(world.answers(thread)[0]).startswith(
            ":warning: Demo: Quick took too long to respond"
        )
        assert shown(world.answers(thread)[0]) == PART


async def test_a_failed_answer_is_not_part_of_the_history(world: World) -> None:
    world.fail("break", PART)
    thread = await world.start("First question.")
    await world.answered(thread)
    await world.slack.conversations.say("alice", "general", "Second question.", thread)
    await world.answered(thread, 2)
    assert world.requests()[1][1:] == [("user", "First question.\n\nSecond question.")]


async def test_retry_is_safe_under_many_clicks(world: World) -> None:
    """Of one person, of several people, and of repeated deliveries."""
    world.fail("http", status=401)
    world.say("Once.", rate=30)
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    await world.idle()
    (failed,) = world.answers(thread)
    world.slack.faults.copies = 3
    people = ("alice", "bob", "carol", "alice")
    await asyncio.gather(
        *(world.slack.interactions.press(who, failed, "retry_answer") for who in people)
    )
    await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the second answer")
    await world.idle()
    assert len(world.models.requests()) == 2
    assert [shown(message) for message in world.answers(thread)] == ["Once."]


async def test_retry_works_after_a_restart(world: World) -> None:
    world.fail("break", PART)
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    await world.idle()
    await world.restart()
    world.say("Now it works.")
    await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")
    await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the second answer")
    await world.idle()
    assert [shown(message) for message in world.answers(thread)] == ["Now it works."]


async def test_retry_of_a_long_answer_leaves_nothing_of_the_old_one(world: World) -> None:
    """One message replaces several."""
    world.fail("break", " ".join(f"old{n}" for n in range(3500)))
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    await world.idle()
    before = world.answers(thread)
    assert len(before) >= 3
    world.say("A short answer.")
    await world.slack.interactions.press("alice", before[-1], "retry_answer")
    await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the second answer")
    await world.idle()
    assert [(m.ts, shown(m)) for m in world.answers(thread)] == [(before[0].ts, "A short answer.")]


async def test_a_retry_removes_the_reason_and_the_button_at_once(
    world: World,
) -> None:
    """Only blocks replace blocks: an edit without any may leave the old ones in place."""
    world.fail("http", status=401)
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    world.models.queue(MODEL, ModelScript(["Now", " it works."], times=(0.0, 1.0)))
    await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")
    await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the second answer")
    await world.idle()
    (answer,) = world.answers(thread)
    first = next(state for state in answer.states if state.text.startswith("Now"))
    assert [block["type"] for block in first.blocks] == ["markdown"]
    assert shown(answer) == "Now it works."


async def test_transient_failures_are_retried_without_being_shown(world: World) -> None:
    """Until the first text the model is called up to three times."""
    world.fail("http", status=500)
    world.fail("end")
    world.say("Third time lucky.")
    thread = await world.start("Please answer me.")
    assert await world.answered(thread) == ["Third time lucky."]
    assert len(world.models.requests()) == 3
    assert not any("warning" in state.text for m in world.answers(thread) for state in m.states)


async def test_an_empty_answer_is_a_failure(world: World) -> None:
    world.models.queue(MODEL, *[ModelScript(["", "\n", " "])] * 3)
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    await world.idle()
    assert "sent an empty answer" in below(world.answers(thread)[0])


async def test_leading_white_space_causes_no_busy_loop(world: World) -> None:
    """Nothing can be shown yet, so no write is attempted."""
    world.models.queue(MODEL, ModelScript(["\n", "\n", "Here it is."], times=(0.0, 0.1, 1.6)))
    thread = await world.start("Please answer me.")
    await asyncio.sleep(0.4)
    busy = time.process_time()
    await asyncio.sleep(1.0)
    assert time.process_time() - busy < 0.5
    assert [text.strip() for text in await world.answered(thread)] == ["Here it is."]


async def test_an_unavailable_model_is_replaced_permanently(world: World) -> None:
    """The reason and a menu are shown in place of the answer; a choice there rewrites the same message."""
    thread = await world.start("First question.")
    await world.answered(thread)
    world.models.models.pop(MODEL)
    await world.slack.conversations.say("alice", "general", "Second question.", thread)
    await world.answered(thread, 2)
    await world.idle()
    failed = world.answers(thread)[1]
    assert "isn't available any more" in below(failed)

    await world.slack.interactions.choose(
        "alice", failed, "retry_with_model", "openai:demo/storyteller"
    )
    await world.until(lambda: world.messages(thread)[3]["status"] == "done", "the answer")
    await world.idle()
    assert world.models.requests()[-1].model == "demo/storyteller"
    assert world.answers(thread)[1].ts == failed.ts
    assert elements(world.answers(thread)[1], "retry_with_model") == []
    assert "Storyteller" in world.header(thread).text
    assert world.chats()[0]["model"] == "demo/storyteller"


async def test_an_error_text_cannot_ping(world: World) -> None:
    world.fail("http", status=400, message="Ask <!channel> and <@U0BOB> why.")
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    text = below(world.answers(thread)[0])
    assert "<!channel>" not in text
    assert "<@U0BOB>" not in text


async def test_a_reply_after_a_failed_answer_is_answered(world: World) -> None:
    """A failure does not block the next answer."""
    world.models.queue(
        MODEL, ModelScript(list(PART), rate=40, fault=Fault("break", after=len(PART)))
    )
    thread = await world.start("First question.")
    await world.until(lambda: world.models.requests(), "the model is asked")
    await world.slack.conversations.say("alice", "general", "Second question.", thread)
    await world.answered(thread, 2)
    await world.idle()
    assert [m["status"] for m in world.messages(thread) if m["role"] == "assistant"] == [
        "failed",
        "done",
    ]
