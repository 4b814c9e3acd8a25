"""A model that is not, or no longer, allowed is never called, whoever asks and for whatever purpose."""

from __future__ import annotations

import pytest

from tests.access.conftest import WorldFactory
from tests.api.conftest import Api, client, token_for
from tests.handlers.test_never_stuck import chat_with_failed_answer
from tests.handlers.world import MODEL, World, below, elements, options_of

OTHER = "demo/storyteller"
ONLY_OTHER = (f"openai:{OTHER}",)


def asked(world: World) -> set[str]:
    """The models called since the journal was cleared, including for titles."""
    return {request.model for request in world.models.journal}


async def forbid_the_usual_model(world: World) -> None:
    await world.idle()
    await world.restart(bobbin_allowed_models=ONLY_OTHER)
    world.models.journal.clear()


async def test_a_chat_whose_model_is_no_longer_allowed_asks_for_another(
    worlds: WorldFactory,
) -> None:
    """The answer fails as if the model were gone, with a menu of the allowed models."""
    async with worlds() as world:
        thread = await world.start("First question.")
        await world.answered(thread)
        await forbid_the_usual_model(world)

        await world.slack.conversations.say("alice", "general", "Second question.", thread)
        await world.answered(thread, 2)
        answer = world.answers(thread)[1]
        assert "isn't available any more" in below(answer)
        menu = await world.slack.interactions.menu("alice", answer, "retry_with_model")
        assert [option["value"] for option in options_of(menu)] == list(ONLY_OTHER)
        assert asked(world) == set()

        await world.slack.interactions.choose("alice", answer, "retry_with_model", ONLY_OTHER[0])
        await world.until(lambda: world.messages(thread)[3]["status"] == "done", "the answer")
        await world.idle()
        assert (asked(world), world.chats()[0]["model"]) == ({OTHER}, OTHER)


async def test_retry_does_not_ask_a_model_that_is_no_longer_allowed(
    worlds: WorldFactory,
) -> None:
    async with worlds() as world:
        thread, _ = await chat_with_failed_answer(world, "otherwise")
        await forbid_the_usual_model(world)
        await world.slack.interactions.press("bob", world.answers(thread)[1], "retry_answer")
        await world.until(
            lambda: elements(world.answers(thread)[1], "retry_with_model"), "the menu"
        )
        await world.idle()
        assert asked(world) == set()


@pytest.mark.parametrize("title_model", [None, MODEL])
async def test_no_title_is_requested_from_a_model_that_is_no_longer_allowed(
    worlds: WorldFactory, title_model: str | None
) -> None:
    """Neither the chat's own model nor the one in the settings is asked."""
    async with worlds(bobbin_title_model=title_model) as world:
        world.entitle(None)
        thread = await world.start("First question.", model=OTHER if title_model else MODEL)
        await world.answered(thread)
        await forbid_the_usual_model(world)
        await world.slack.conversations.say("alice", "general", "Second question.", thread)
        await world.answered(thread, 2)
        await world.idle()
        assert MODEL not in asked(world)


async def test_the_api_asks_no_model_that_is_no_longer_allowed(worlds: WorldFactory) -> None:
    async with worlds() as world:
        token = await token_for(world)
        async with client(world, token) as http:
            api = Api(http, token)
            chat = await api.conversation(model=MODEL)
            await api.say(chat, "First question.")
        await forbid_the_usual_model(world)
        async with client(world, token) as http:
            api = Api(http, token)
            failed = await api.say(chat, "Second question.", 502)
            assert failed["success"] is False
            path = f"/chat/conversations/{chat}/messages/{failed['userMessage']['id']}/retry"
            await api.ask("POST", path, 502)
            await api.ask("POST", "/chat/conversations", 422, json={"model": MODEL})
            assert asked(world) == set()
