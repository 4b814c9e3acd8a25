"""A chat takes a hundred messages and no more, however they arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot import strings
from bot.usage.limits import parse_rate
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.model_answers import MODEL
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
        assert _buttons(whisper) == ["New chat", "Continue in a new chat"]
        assert world.whispers("alice") == []
        assert (len(world.messages(thread)), len(world.models.requests())) == (4, 2)


async def test_a_slow_refusal_notice_is_not_sent_by_another_process(
    worlds: WorldFactory,
) -> None:
    """The claim on telling it is renewed for as long as the call takes, and lapses soon after a kill."""
    timing = patient_timing(notice_claim=1.0, slack_call_timeout=3_600.0)
    async with worlds(timing=timing, bobbin_max_messages=2) as world:
        thread = await world.start("One and two.")
        await world.answered(thread)
        await world.idle()
        before = {row["key"] for row in world.rows("SELECT key FROM done_once")}
        fault = world.slack.faults.add("chat.postEphemeral", "slow", seconds=3_600.0)
        await world.slack.conversations.say("alice", "general", "Three is too many.", thread)
        await world.until(lambda: fault.hits, "it is on its way")

        def until_when() -> list[str]:
            rows = world.rows("SELECT key, kept_until FROM done_once")
            return [str(row["kept_until"]) for row in rows if row["key"] not in before]

        (first,) = until_when()
        await world.until(lambda: until_when() > [first], "the claim is renewed")
        world.slack.faults.clear()
        await world.until(lambda: world.whispers("alice"), "the private words")


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


async def test_an_odd_limit_counts_as_reached_when_no_pair_fits(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_max_messages=5) as world:
        thread = await world.start("One and two.")
        await world.answered(thread)
        await world.slack.conversations.say("alice", "general", "Three and four.", thread)
        await world.answered(thread, 2)
        first, last = map(below, world.answers(thread))
        assert "3 messages left" in first
        assert "this chat is full" in last


async def test_a_menu_that_was_open_when_the_chat_became_full_offers_the_ways_on(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_max_messages=2) as world:
        thread = await world.ask("Mine comes first.")
        bobs = f"<@{world.slack.bot_user.id}> And mine?"
        await world.slack.conversations.say("bob", "general", bobs, thread)
        await world.until(lambda: len(world.menus(thread)) == 2, "both menus")
        alices, bobs_menu = world.menus(thread)
        model = f"openai:{MODEL}"
        await world.slack.interactions.choose("alice", alices, "model_menu", model)
        await world.answered(thread)
        await world.slack.interactions.choose("bob", bobs_menu, "model_menu", model)
        await world.until(lambda: world.whispers("bob"), "the private words")
        (whisper,) = world.slack.workspace.ephemerals("bob", "general")
        assert whisper.text == strings.CHAT_FULL.format(count=2)
        assert _buttons(whisper) == ["New chat", "Continue in a new chat"]
        assert (len(world.models.requests()), _open_requests(world)) == (1, 0)

        await world.restart()  # as if the process had ended before it could tell
        await world.slack.interactions.choose("bob", bobs_menu, "model_menu", model)
        await world.until(lambda: len(world.whispers("bob")) == 2, "the same once more")
        again = world.slack.workspace.ephemerals("bob", "general")[1]
        assert (again.text, _buttons(again)) == (whisper.text, _buttons(whisper))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"bobbin_max_messages": 2}, "This chat is full: it has reached its 2 messages."),
        ({"bobbin_rate_user": parse_rate("1/hour")}, "You may have 1 message answered per hour"),
    ],
    ids=["full", "rate"],
)
async def test_a_second_question_before_the_choice_without_room_is_reported(
    worlds: WorldFactory, settings: dict[str, Any], told: str
) -> None:
    async with worlds(**settings) as world:
        thread = await world.ask("The first question.")
        second = f"<@{world.slack.bot_user.id}> And a second one."
        await world.slack.conversations.say("alice", "general", second, thread)
        await world.until(lambda: _open_requests(world) == 2, "both requests")
        world.slack.faults.add("chat.postEphemeral", "slow", seconds=3_600.0)
        await world.choose(thread)
        await world.answered(thread)
        await world.until(lambda: world.headers(thread), "the header does not wait for it")
        world.slack.faults.clear()
        await world.until(lambda: world.whispers("alice"), "the private words")
        (whisper,) = world.whispers("alice")
        assert whisper.startswith(told)
        assert (_open_requests(world), len(world.messages(thread))) == (0, 2)


def _open_requests(world: World) -> int:
    return len(world.rows("SELECT 1 FROM questions WHERE state = ?", "open"))


def _buttons(whisper: Any) -> list[str]:
    return [
        element["text"]["text"]
        for block in whisper.blocks
        if block["type"] == "actions"
        for element in block["elements"]
    ]
