"""What people see of the work a model does besides writing: while it is going on, and in the answer's message."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot import strings
from bot.config.chats import ReasoningMode, StreamMode
from bot.domain.steps import MAX_DETAIL_LENGTH
from bot.sandbox.state.records import Message
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.world import World, below, methods, shown
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    delta,
    streaming,
)
from tests.slow import slow_after

STOP = delta(finish="stop")
THOUGHT = "Thought for 1 s"


def cards(message: Message) -> list[dict[str, Any]]:
    return list(message.stream.tasks.values()) if message.stream is not None else []


def stored(world: World) -> list[tuple[str, str, str]]:
    rows = world.rows("SELECT kind, name, status, detail FROM answer_steps ORDER BY message_id")
    return [(row["kind"], row["status"], row["detail"]) for row in rows]


def statuses(world: World, thread: str) -> list[str]:
    state = world.slack.workspace.thread_state("C0GENERAL", thread)
    return [text for _, text in state.statuses]


def thinking_until(gate: asyncio.Event, *then: bytes) -> Behaviour:
    """Reasons until the gate opens."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta(reasoning="Hm."))
        await gate.wait()
        for piece in then:
            await out.chunk(piece)
        await out.end()

    return behaviour


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_a_thinking_model_shows_its_status_and_then_a_step_in_the_message(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    """The status line counts the seconds; the step survives a restart."""
    gate = asyncio.Event()
    answer = thinking_until(gate, delta("Hi you."), STOP, DONE)
    timing = patient_timing(status_step_interval=0.2)
    async with scripted_world(worlds, answer, bobbin_stream=mode, timing=timing) as (world, _):
        thread = await world.start("Say something.")
        await world.until(
            lambda: strings.THINKING_SECONDS.format(seconds=1) in statuses(world, thread),
            "the seconds",
        )
        gate.set()
        await world.answered(thread)
        await world.idle()
        (message,) = world.answers(thread)
        assert shown(message) == "Hi you."
        if mode is StreamMode.NATIVE:
            (card,) = cards(message)
            assert (card["id"], card["status"]) == ("step-1", "complete")
            assert card["title"].startswith("Thought for ")
            assert "💭" not in below(message)
        else:
            assert below(message).startswith("💭 Thought for ")
        assert stored(world) == [("thinking", "done", "")]
        await world.restart()
        await world.slack.conversations.say("alice", "general", "Once more.", thread)
        await world.answered(thread, 2)
        assert stored(world) == 2 * [("thinking", "done", "")]


async def test_without_cards_steps_are_shown_below_the_answer(
    worlds: WorldFactory,
) -> None:
    """One rejection applies to the whole workspace. The answer is still a native stream."""
    sent = streaming(delta(reasoning="Hm."), delta("Hi "), delta("you."), STOP, DONE)
    async with scripted_world(worlds, sent, bobbin_stream=StreamMode.NATIVE) as (world, _):
        world.slack.faults.add("chat.startStream", error="invalid_chunks")
        thread = await world.start("Say something.")
        await world.answered(thread)
        await world.slack.conversations.say("alice", "general", "Once more.", thread)
        await world.answered(thread, 2)
        for message in world.answers(thread):
            assert (shown(message), cards(message)) == ("Hi you.", [])
            assert message.stream is not None
            assert below(message).startswith(f"💭 {THOUGHT}")
        assert methods(world.slack.calls).count("chat.startStream") == 3


async def test_a_failure_reports_its_steps_and_retry_replaces_them(worlds: WorldFactory) -> None:
    replies = [
        streaming(delta(reasoning="Hm."), delta("Hi "), delta(finish="network_error"), DONE),
        streaming(delta("Hi you."), STOP, DONE),
    ]

    async def one_after_the_other(received: ReceivedRequest, out: ResponseWriter) -> None:
        await replies.pop(0)(received, out)

    async with scripted_world(worlds, one_after_the_other) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        await world.idle()
        (message,) = world.answers(thread)
        assert [card["title"] for card in cards(message)] == [THOUGHT]
        assert stored(world) == [("thinking", "done", "")]
        await world.slack.interactions.press("alice", message, "retry_answer")
        await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the answer")
        await world.idle()
        (message,) = world.answers(thread)
        assert shown(message) == "Hi you."
        assert "Thought" not in below(message)
        assert stored(world) == []


@pytest.mark.parametrize("mode", [StreamMode.NATIVE, StreamMode.EDIT])
async def test_reasoning_that_a_model_reveals_is_shown_if_the_operator_wants_it(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    """It can't ping, is limited in length, and is not part of the text, of the title, or of later prompts."""
    thoughts = "Hm, <!channel>. " + "So. " * 1_000
    sent = streaming(delta(reasoning=thoughts), delta("Hi you."), STOP, DONE)
    more: dict[str, Any] = {"bobbin_reasoning": ReasoningMode.SHOWN, "bobbin_stream": mode}
    async with scripted_world(worlds, sent, **more) as (world, server):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        seen = "".join(card["details"] for card in cards(message)) or below(message)
        assert "Hm, " in seen
        assert "<!channel>" not in seen
        assert shown(message) == world.messages(thread)[1]["text"] == "Hi you."
        ((_, _, detail),) = stored(world)
        assert detail.startswith("Hm, <!channel>. So. ")
        assert len(detail) <= MAX_DETAIL_LENGTH
        await world.slack.conversations.say("alice", "general", "Once more.", thread)
        await world.answered(thread, 2)
        assert "So. " not in str(questions(server)[-1])


async def test_reasoning_is_not_a_step_if_the_operator_disables_it(worlds: WorldFactory) -> None:
    sent = streaming(delta(reasoning="Hm."), delta("Hi you."), STOP, DONE)
    async with scripted_world(worlds, sent, bobbin_reasoning=ReasoningMode.OFF) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        assert (cards(message), stored(world)) == ([], [])
        assert "Thought" not in below(message)
