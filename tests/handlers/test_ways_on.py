"""Beside every failure that another model or a new chat would cure stand a menu of models and the ways on."""

from __future__ import annotations

from typing import Any

import pytest

from bot.errors import ProviderError
from bot.sandbox.models.demo import DemoModel
from bot.sandbox.models.scripts import script_from_text
from bot.sandbox.models.server import ModelServer
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World, elements, options_of, shown

CURABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "402": ("no_credit", {"kind": "http", "status": 402}),
    "quota": ("no_credit", {"kind": "http", "status": 429, "message": "insufficient_quota"}),
    "401": ("key_rejected", {"kind": "http", "status": 401}),
    "404": ("model_gone", {"kind": "http", "status": 404, "message": "No such model"}),
    "413": ("too_long", {"kind": "http", "status": 413}),
    "filter": ("filtered", {"kind": "http", "status": 400, "message": "content_policy"}),
    "429 for long": ("busy", {"kind": "http", "status": 429, "headers": {"retry-after": "60"}}),
}


@pytest.mark.parametrize("name", CURABLE)
async def test_another_model_answers_in_the_same_place(world: World, name: str) -> None:
    code, fault = CURABLE[name]
    world.fail(**fault, times=3)
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    await world.idle()
    (failed,) = world.answers(thread)
    assert world.ended(thread)[0]["error"] == code
    assert elements(failed, "retry_answer")

    world.say("Here you are.", model="demo/storyteller")
    choose = world.slack.interactions.choose
    await choose("alice", failed, "retry_with_model", "openai:demo/storyteller")
    await world.until(lambda: world.ended(thread)[0]["status"] == "done", "the answer")
    await world.idle()
    (answer,) = world.answers(thread)
    assert (answer.ts, shown(answer)) == (failed.ts, "Here you are.")
    assert world.chats()[0]["model"] == "demo/storyteller"


def test_the_table_holds_codes_that_another_model_cures() -> None:
    assert {code for code, _ in CURABLE.values()} <= ProviderError.codes_for_other_model()


@pytest.mark.parametrize("fault", [{"kind": "http", "status": 400}, {"kind": "break"}])
async def test_other_failures_offer_retry_alone(world: World, fault: dict[str, Any]) -> None:
    world.fail(**fault, times=3)
    thread = await world.start("Please answer me.")
    await world.answered(thread)
    await world.idle()
    (failed,) = world.answers(thread)
    assert elements(failed, "retry_answer")
    assert not elements(failed, "retry_with_model")


async def test_a_chat_too_long_is_offered_larger_models_only(worlds: WorldFactory) -> None:
    sizes = {"small": 8_000, "same": 16_000, MODEL: 16_000, "large": 32_000}
    models = [
        DemoModel(name, name.title(), lambda question: script_from_text("Yes", 5000), size)
        for name, size in sizes.items()
    ]
    async with worlds(models=ModelServer(models, words_per_second=5000.0)) as world:
        world.fail("http", status=413)
        thread = await world.start("Please answer me.")
        await world.answered(thread)
        await world.idle()
        offered = await world.slack.interactions.menu(
            "alice", world.answers(thread)[0], "retry_with_model"
        )
        assert [option["value"] for option in options_of(offered)] == ["openai:large"]


async def test_a_stopped_answer_can_be_tried_again(world: World) -> None:
    world.reply_to({"Talk for long.": " ".join(f"word{n}" for n in range(400))}, rate=40)
    thread = await world.start("Talk for long.")
    await world.until(lambda: "word5" in shown(world.answers(thread)[0]), "some words")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread)
    await world.idle()
    (stopped,) = world.answers(thread)
    world.reply_to({"Talk for long.": "A short talk."})
    await world.slack.interactions.press("bob", stopped, "retry_answer")
    await world.until(lambda: world.ended(thread)[0]["status"] == "done", "the second answer")
    await world.idle()
    assert [(m.ts, shown(m)) for m in world.answers(thread)] == [(stopped.ts, "A short talk.")]
