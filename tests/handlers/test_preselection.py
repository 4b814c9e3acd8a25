"""Which model a menu preselects: the person's own, their last, the operator's default."""

from __future__ import annotations

from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World, elements


def preselected_model(world: World, thread: str, channel: str = "general") -> str:
    value: str = elements(world.menus(thread, channel)[-1], "model_menu")[0]["initial_option"][
        "value"
    ]
    return value


async def test_a_persons_last_model_is_preselected_for_them_only(
    world: World,
) -> None:
    thread = await world.start("A story, please.", model="demo/storyteller")
    await world.answered(thread)

    assert preselected_model(world, await world.ask("Another one.")) == "openai:demo/storyteller"
    assert (
        preselected_model(world, await world.ask("What is it?", user="bob")) == "openai:demo/quick"
    )


async def test_the_operators_default_model_is_preselected_for_new_people(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_default_model="demo/markdown") as world:
        assert (
            preselected_model(world, await world.ask("Hello there, you.")) == "openai:demo/markdown"
        )


async def test_a_persons_own_model_is_preselected_and_always_skips_the_menu(
    world: World,
) -> None:
    thread = await world.start("A story, please.", model="demo/storyteller")
    await world.answered(thread)
    people = "UPDATE people SET default_model = 'openai:demo/markdown', always = ? WHERE user = 'U0ALICE'"
    await world.execute(people, 0)
    assert preselected_model(world, await world.ask("Which one now?")) == "openai:demo/markdown"

    await world.execute(people, 1)
    thread = await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> No menu, please."
    )
    await world.answered(thread)
    await world.idle()

    assert world.models.requests()[-1].model == "demo/markdown"
    assert (len(world.headers(thread)), len(world.menus(thread))) == (1, 0)
