"""Models that never end: every answer ends, and keeps the text so far."""

from __future__ import annotations

from bot import sentences, strings
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.world import MODEL, below
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    delta,
    responding,
    streaming,
)
from tests.providers.test_stream_limits import repeating


async def test_answer_without_an_end_is_cut_and_says_so(worlds: WorldFactory) -> None:
    timing = patient_timing(longest_answer=1.0)
    async with scripted_world(worlds, repeating(delta("word ")), timing=timing) as (world, _):
        thread = await world.start("Say something.")
        (text,) = await world.answered(thread)
        await world.idle()
        (row,) = world.ended(thread)
        (message,) = world.answers(thread)
    assert text.startswith("word word ")
    assert (row["status"], row["text"].strip()) == ("done", text.strip())
    assert strings.CUT_BY_LENGTH in below(message)


async def test_model_that_only_keeps_the_connection_alive_has_failed(worlds: WorldFactory) -> None:
    async with scripted_world(worlds, repeating(b": keep-alive\n\n"), bobbin_model_timeout=0.5) as (
        world,
        _,
    ):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        assert sentences.failure("timeout", MODEL) in below(message)


async def test_model_is_not_asked_again_once_an_answer_took_too_long(worlds: WorldFactory) -> None:
    """The server requests a pause that would end after the answer's time limit."""
    busy = responding({"error": "slow down"}, 429, **{"Retry-After": "9"})
    timing = patient_timing(longest_answer=5.0)
    async with scripted_world(worlds, busy, timing=timing) as (world, server):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        assert sentences.failure("busy", MODEL) in below(message)
        assert len(questions(server)) == 1


async def test_all_tries_of_an_answer_have_one_end(worlds: WorldFactory) -> None:
    """The second attempt writes endlessly, within the time that the first has left."""
    asked: list[ReceivedRequest] = []

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        asked.append(received)
        first = responding({"error": "oh"}, 500)
        await (first if len(asked) == 1 else repeating(delta("word ")))(received, out)

    timing = patient_timing(longest_answer=3.0)
    async with scripted_world(worlds, behaviour, timing=timing) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        assert strings.CUT_BY_LENGTH in below(message)
    assert len(asked) == 2


async def test_title_without_an_end_is_given_up(worlds: WorldFactory) -> None:
    """The next title may be requested from the same server, and nothing in the chat waits."""
    timing = patient_timing(longest_title=0.5)
    async with scripted_world(
        worlds,
        streaming(delta("Hello.", finish="stop"), DONE),
        title=repeating(delta("Pears and apples compared at length ")),
        timing=timing,
    ) as (world, _):
        thread = await world.start("Compare pears and apples.")
        await world.answered(thread)
        await world.until(lambda: world.chats()[0]["title_by"] == "model", "a title")
        assert world.chats()[0]["title"].startswith("Pears and apples compared")
