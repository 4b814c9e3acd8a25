"""What people read when a provider refuses: its own reason, fitting advice, and the model stays in the menu."""

from __future__ import annotations

from typing import Any

import pytest

from bot import sentences
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.world import MODEL, below, elements, options_of
from tests.providers.scripted_server import DONE, delta, responding, streaming

REFUSALS: dict[str, tuple[int, Any, str, str]] = {
    "key": (
        401,
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}},
        "key_rejected",
        "subscription key",
    ),
    "region": (403, {"error": {"message": "Country not supported"}}, "region", "Country not supported"),
    "access": (403, {"error": "This model needs a Pro plan."}, "no_access", "needs a Pro plan"),
    "proxy": (403, "<html><title>Blocked by Example Corp</title></html>", "blocked", "Example Corp"),
    "privacy": (404, {"error": {"message": "No endpoints found matching your data policy"}}, "data_policy", "policy"),
    "day": (429, {"error": {"message": "Limit 200 requests per day"}}, "daily_limit", "200 requests"),
    "memory": (500, {"error": "model requires more system memory (9 GiB)"}, "out_of_memory", "9 GiB"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_is_shown_with_the_providers_reason(
    worlds: WorldFactory, status: int, body: Any, code: str, reason: str
) -> None:
    async with scripted_world(worlds, responding(body, status)) as (world, server):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        sentence = sentences.failure(code, MODEL)
        assert sentence in below(message)
        assert reason in below(message).removeprefix(f":warning: {sentence}")
        assert elements(message, "retry_answer")
        assert len(questions(server)) == 1, "nothing is paid or waited for a second time"


@pytest.mark.parametrize("body", ["<html>Not found</html>", {"detail": "Not Found"}, ""])
async def test_a_404_that_does_not_name_the_model_hides_nothing(
    worlds: WorldFactory, body: Any
) -> None:
    async with scripted_world(worlds, responding(body, 404)) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        again = await world.ask("Something else?")
        (menu,) = world.menus(again)
        offered = await world.slack.interactions.options("alice", menu, "model_menu", "")
        assert f"openai:{MODEL}" in [option["value"] for option in options_of(offered)]


async def test_another_model_answers_where_that_helps(worlds: WorldFactory) -> None:
    """Every failure that another model would cure has a working menu beside Retry."""

    async def by_model(received: Any, out: Any) -> None:
        refuse = received.body["model"] == MODEL
        behaviour = (
            responding({"error": "Pro-only model"}, 401)
            if refuse
            else streaming(delta("Here I am.", finish="stop"), DONE)
        )
        await behaviour(received, out)

    async with scripted_world(worlds, by_model) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        await world.slack.interactions.choose(
            "alice", message, "retry_with_model", "openai:other/model"
        )
        await world.until(lambda: world.ended(thread)[0]["status"] == "done", "the answer")
        assert (await world.answered(thread))[-1] == "Here I am."
