"""Names that Slack does not provide immediately: no question waits for more than one short look-up, and none twice."""

from __future__ import annotations

import pytest

from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_people import user_messages_sent
from tests.handlers.world import World


def asked_for(world: World) -> list[str]:
    """The users whose names Slack was asked for, in order."""
    return [call.args["user"] for call in world.slack.calls_of("users.info")]


@pytest.mark.parametrize("place", ["chat", "thread context"])
async def test_ids_in_plain_text_are_just_text(world: World, place: str) -> None:
    text = "Is @U0NOBODY the same as @W12345678 or (@UPPERCASE)?"
    if place == "chat":
        thread = await world.start(text)
    else:
        thread = await world.slack.conversations.say("bob", "general", text)
        await world.ask("What do you think?", thread=thread)
        await world.choose(thread)
    await world.answered(thread)
    await world.idle()
    assert text in user_messages_sent(world)[0]
    assert set(asked_for(world)) <= {"U0ALICE", "U0BOB"}


@pytest.mark.parametrize("place", ["chat", "thread context"])
async def test_a_typed_id_of_a_known_person_is_not_replaced_by_a_name(
    world: World, place: str
) -> None:
    text = "Is the id @U0ALICE that of @alice, and @W0ALICE another?"
    if place == "chat":
        thread = await world.start(text)
    else:
        thread = await world.slack.conversations.say("alice", "general", text)
        await world.ask("What do you think?", thread=thread)
        await world.choose(thread)
    await world.answered(thread)
    await world.idle()
    await world.slack.conversations.say("alice", "general", f"Again: {text}", thread)
    await world.answered(thread, 2)
    assert text in user_messages_sent(world)[0]
    assert f"Again: {text}" in world.requests()[-1][-1][1]


async def test_a_question_waits_once_for_all_unknown_names(worlds: WorldFactory) -> None:
    """Also when many are mentioned in many messages, and when the answers before had waited for them."""
    timing = patient_timing(user_name_timeout=0.5, user_lookup_timeout=60.0)
    async with worlds(timing=timing) as world:
        world.slack.faults.add("users.info", times=-1, mode="slow", seconds=3.0)
        thread = await world.start("And what do @bob, @carol and @dan say?")
        for number in range(2, 7):
            await world.answered(thread, number - 1)
            text = f"Question {number}: @bob, @carol or @dan?"
            await world.slack.conversations.say("bob", "general", text, thread)
        await world.answered(thread, 6)
        await world.until(lambda: "@dan" in world.messages(thread)[0]["text"], "the names")
        await world.idle()
        assert sorted(asked_for(world)) == ["U0ALICE", "U0BOB", "U0CAROL", "U0DAN"]


async def test_an_unknown_name_is_known_to_the_next_question(worlds: WorldFactory) -> None:
    """A look-up that takes longer than a question waits goes on, and its name is stored."""
    timing = patient_timing(user_name_timeout=0.1)
    async with worlds(timing=timing) as world:
        world.slack.faults.add("users.info", times=2, mode="hang", seconds=1.0)
        thread = await world.start("What does @carol say?")
        await world.answered(thread)
        stored = "SELECT text FROM messages WHERE number = 1"
        await world.until(lambda: "@carol" in world.rows(stored)[0]["text"], "the name")
        await world.slack.conversations.say("alice", "general", "And now?", thread)
        await world.answered(thread, 2)
        assert user_messages_sent(world)[0] == "What does @carol say?"


async def test_refused_names_are_remembered(world: World) -> None:
    world.slack.faults.add("users.info", times=-1, error="user_not_found")
    thread = await world.start("What does @carol say?")
    for number in range(2, 5):
        await world.answered(thread, number - 1)
        await world.slack.conversations.say("bob", "general", f"And @carol, {number}?", thread)
    await world.answered(thread, 4)
    await world.idle()
    assert sorted(asked_for(world)) == ["U0ALICE", "U0BOB", "U0CAROL"]
    world.forgive("user_not_found")
