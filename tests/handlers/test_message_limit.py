"""A chat takes a hundred messages and no more, however they arrive."""

from __future__ import annotations

import asyncio

from bot import strings
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World, below


async def test_the_last_exchange_fits_and_the_next_is_refused_privately(
    worlds: WorldFactory,
) -> None:
    """Nothing is stored, no model is called, and buttons offer the ways on."""
    async with worlds(bobbin_max_messages=4) as world:
        world.slack.variants.mention_order = "message_first"
        thread = await world.start("One and two.")
        await world.answered(thread)
        await world.slack.conversations.say("alice", "general", "Three and four.", thread)
        await world.answered(thread, 2)
        await world.slack.conversations.say(
            "bob", "general", f"<@{world.slack.bot_user.id}> Five is too many.", thread
        )
        await world.until(lambda: world.whispers("bob"), "the private words")
        await world.idle()

        (whisper,) = world.slack.workspace.ephemerals("bob", "general")
        assert whisper.text == strings.CHAT_FULL.format(count=4)
        assert whisper.thread_ts == thread
        assert [
            element["text"]["text"]
            for block in whisper.blocks
            if block["type"] == "actions"
            for element in block["elements"]
        ] == ["New chat", "Continue in a new chat"]
        assert world.whispers("alice") == []
        assert (len(world.messages(thread)), len(world.models.requests())) == (4, 2)


async def test_a_message_fits_at_98_messages_and_is_refused_at_99(world: World) -> None:
    thread = await world.start("The first of many.")
    await world.answered(thread)
    await world.idle()
    await world.execute("UPDATE chats SET message_count = 99")
    await world.execute("UPDATE messages SET number = number + 97")
    await world.execute("UPDATE answers SET number = number + 97")
    await world.slack.conversations.say("alice", "general", "The hundredth and one more.", thread)
    await world.until(lambda: world.whispers("alice"), "the private words")
    assert len(world.models.requests()) == 1

    await world.execute("UPDATE chats SET message_count = 98")
    await world.execute("UPDATE messages SET number = number - 1")
    await world.execute("UPDATE answers SET number = number - 1")
    await world.slack.conversations.say("alice", "general", "The last one that fits.", thread)
    await world.answered(thread, 2)
    assert world.chats()[0]["message_count"] == 100
    assert "this chat is full" in below(world.answers(thread)[-1])


async def test_the_limit_holds_for_concurrent_messages(worlds: WorldFactory) -> None:
    async with worlds(bobbin_max_messages=6) as world:
        thread = await world.start("The first of them.")
        await world.answered(thread)
        await asyncio.gather(
            *(
                world.slack.conversations.say(who, "general", "Me as well!", thread)
                for who in ("bob", "carol", "dan")
            )
        )
        await world.answered(thread, 3)
        await world.idle()
        assert (
            world.chats()[0]["message_count"],
            len(world.messages(thread)),
            len(world.models.requests()),
        ) == (6, 6, 3)
        assert sum(len(world.whispers(who)) for who in ("bob", "carol", "dan")) == 1
