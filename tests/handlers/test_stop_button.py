"""The header of a chat has a Stop button while there is an answer to stop, and at no other time."""

from __future__ import annotations

import pytest

from bot.config.chats import StreamMode
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World
from tests.slow import slow_after

LONG = " ".join(f"word{n}" for n in range(200))


async def say(world: World, text: str, thread: str) -> None:
    await world.slack.conversations.say("alice", "general", text, thread)


async def shown(world: World, thread: str) -> None:
    await world.until(lambda: world.stop_buttons(thread), "a Stop button")


async def hidden(world: World, thread: str) -> None:
    await world.until(
        lambda: world.headers(thread) and not world.stop_buttons(thread), "no Stop button"
    )


@pytest.mark.parametrize(
    ("mode", "ending"),
    slow_after(
        2,
        [
            (StreamMode.NATIVE, "whole"),
            (StreamMode.EDIT, "stopped"),
            (StreamMode.NATIVE, "failed"),
            (StreamMode.EDIT, "whole"),
            (StreamMode.NATIVE, "stopped"),
            (StreamMode.EDIT, "failed"),
        ],
    ),
)
async def test_the_header_has_stop_while_an_answer_is_written(
    worlds: WorldFactory, mode: StreamMode, ending: str
) -> None:
    """Of the first answer, and of a later one, however each of them ends."""
    async with worlds(bobbin_stream=mode) as world:
        for number in range(2):
            if ending == "failed":
                world.fail("drop", LONG, rate=50)
            else:
                world.say(LONG, rate=20 if ending == "stopped" else 100)
            if number == 0:
                thread = await world.start("Talk for long.")
            else:
                await say(world, "Talk again.", thread)
            await shown(world, thread)
            if ending == "stopped":
                header = world.header(thread)
                await world.slack.interactions.press("alice", header, "stop_answer")
            await world.answered(thread, number + 1)
            await hidden(world, thread)
        await world.idle()
        assert not world.stop_buttons(thread)
        assert not world.chores()


async def test_stop_stays_from_one_waiting_answer_to_the_next(world: World) -> None:
    """The header is not edited in between."""
    world.say(LONG, LONG, rate=200)
    thread = await world.start("Talk for long.")
    await shown(world, thread)
    await say(world, "And again.", thread)
    await world.answered(thread, 1)
    await shown(world, thread)
    await world.answered(thread, 2)
    await hidden(world, thread)


async def test_a_retry_brings_stop_back(world: World) -> None:
    world.fail("drop", "Half of it")
    thread = await world.start("Talk.")
    await world.answered(thread)
    await hidden(world, thread)
    world.say(LONG, rate=50)
    await world.slack.interactions.press("alice", world.answers(thread)[-1], "retry_answer")
    await shown(world, thread)
    await hidden(world, thread)


async def test_the_next_process_hides_what_a_killed_one_left(worlds: WorldFactory) -> None:
    async with worlds(bobbin_grace=0.0) as world:
        world.say(LONG, rate=200)
        thread = await world.start("Talk for long.")
        await shown(world, thread)
        world.slack.faults.add("chat.update", "hang", times=-1, seconds=3600)
        await world.answered(thread)
        await world.until(lambda: "hide_stop" in world.chores(), "the button is to be hidden")
        assert world.stop_buttons(thread)
        world.slack.faults.clear()
        await world.restart()
        await hidden(world, thread)


async def test_the_new_thread_of_a_continued_chat_gets_stop_with_its_first_answer(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_max_messages=2) as world:
        thread = await world.start("The only question.")
        await world.answered(thread)
        await hidden(world, thread)
        await say(world, "One too many.", thread)
        await world.until(
            lambda: world.slack.workspace.ephemerals("alice", "general"), "the private notice"
        )
        notice = world.slack.workspace.ephemerals("alice", "general")[-1]
        await world.slack.interactions.press("alice", notice, "continue_chat")
        new = await world.until(
            lambda: next(
                m.ts
                for m in world.slack.workspace.channel("general").messages.values()
                if m.user == world.slack.bot_user.id and m.thread_ts in (None, m.ts)
            ),
            "the new thread",
        )
        await world.idle()
        assert world.headers(new)
        assert not world.stop_buttons(new)
        world.say(LONG, rate=100)
        await say(world, "Go on.", new)
        await shown(world, new)
        await hidden(world, new)
