"""A chat continues after a restart and after failures of the database."""

from __future__ import annotations

import asyncio

from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_continue import LONG, is_marked_waiting
from tests.handlers.world import World, below

ENDLESS = 3_600.0


async def test_a_menu_works_after_a_restart(world: World) -> None:
    thread = await world.ask("Will you remember me?")
    await world.restart()
    await world.choose(thread)
    assert len(await world.answered(thread)) == 1
    assert (len(world.headers(thread)), len(world.menus(thread))) == (1, 0)


async def test_a_chat_continues_after_a_restart(world: World) -> None:
    world.say("Before.", "After.")
    thread = await world.start("First one.")
    await world.answered(thread)
    await world.restart()
    await world.slack.conversations.say("alice", "general", "Second one.", thread)
    await world.answered(thread, 2)
    assert [text for role, text in world.requests()[-1] if role != "system"] == [
        "First one.",
        "Before.",
        "Second one.",
    ]


async def test_messages_sent_while_the_bot_is_down_are_answered_at_its_start(
    world: World,
) -> None:
    world.allow_redelivery()
    thread = await world.start("Do not go away.")
    await world.answered(thread)
    await world.stop_bot()
    mention = await world.slack.conversations.say(
        "bob", "general", f"<@{world.slack.bot_user.id}> anybody at home?"
    )
    await world.slack.conversations.say("alice", "general", "Where are you?", thread)

    await world.start_bot()
    await world.answered(thread, 2)
    await world.until(lambda: world.menus(mention), "the menu")
    await world.idle()
    assert len(world.menus(mention)) == 1


async def test_an_answer_interrupted_by_a_restart_is_finished_in_the_same_message(
    world: World,
) -> None:
    """Nothing is repeated, and nothing is missing."""
    world.reply_to({"Say it all.": LONG}, rate=8)
    thread = await world.start("Say it all.")
    begun = await world.until(lambda: world.answers(thread), "the first words")

    await world.restart(bobbin_grace=0.0)

    assert await world.answered(thread) == [LONG]
    await world.idle()
    (answer,) = world.answers(thread)
    assert answer.ts == begun[0].ts
    assert "Demo: Quick · " in below(answer)
    assert len(world.messages(thread)) == 2


async def test_running_answers_are_finished_within_the_grace_period(world: World) -> None:
    world.say(LONG, rate=30)
    thread = await world.start("Quickly, before you go.")
    await world.until(lambda: world.answers(thread), "the first words")
    await world.stop_bot()
    assert [m["status"] for m in world.messages(thread)] == ["done", "done"]
    assert [m.text for m in world.answers(thread)] == [LONG]


# -- when the database fails ---------------------------------------------------------------------------------------


async def test_a_message_that_could_not_be_stored_is_stored_when_slack_redelivers_it(
    worlds: WorldFactory,
) -> None:
    """An event is acknowledged only once it is stored, so the second delivery is not a duplicate."""
    async with worlds(deadline_scale=1.0) as world:
        world.allow_redelivery()
        thread = await world.start("First one.")
        await world.answered(thread)
        await world.idle()

        await world.execute("ALTER TABLE messages RENAME TO messages_away")
        failed = await world.slack.conversations.say(
            "alice", "general", "Second one, in hard times.", thread
        )
        mention = await world.slack.conversations.say(
            "bob", "general", f"<@{world.slack.bot_user.id}> me too, in hard times."
        )
        await world.until(
            lambda: any(line["event"] == "not_stored" for line in world.lines()), "it is noticed"
        )
        await world.execute("ALTER TABLE messages_away RENAME TO messages")

        await world.answered(thread, 2)
        await world.until(lambda: world.menus(mention), "the menu")
        await world.idle()
        assert [m["source"] for m in world.messages(thread) if m["role"] == "user"] == [
            thread,
            failed,
        ]
        assert len(world.menus(mention)) == 1


async def test_a_reaction_added_during_a_database_failure_is_removed(world: World) -> None:
    world.say(LONG, rate=25)
    world.say("Second answer.")
    thread = await world.start("Take your time.")
    await world.until(lambda: world.answers(thread), "the first words")
    slow = world.slack.faults.add("reactions.add", "slow", seconds=0.4)
    late = await world.slack.conversations.say("bob", "general", "Meanwhile.", thread)
    await world.until(lambda: slow.hits, "the mark is on its way")
    await world.execute("ALTER TABLE answers RENAME TO answers_away")
    await world.until(lambda: is_marked_waiting(world, late), "the mark")
    await asyncio.sleep(0.2)  # it is checked whether it is still right
    await world.execute("ALTER TABLE answers_away RENAME TO answers")

    await world.answered(thread, 2)
    await world.idle()
    assert not is_marked_waiting(world, late)


async def test_a_thread_that_slack_does_not_show_delays_the_menu_of_no_other(
    worlds: WorldFactory,
) -> None:
    """A process ends before it has posted two menus; the older one's thread cannot be read."""
    timing = patient_timing(thread_sweep_interval=0.05, slack_call_timeout=ENDLESS)
    async with worlds(timing=timing) as world:
        lost = world.slack.faults.add("chat.postMessage", "hang", times=-1, seconds=ENDLESS)
        bot, threads = world.slack.bot_user.id, {}
        for channel in ("random", "general"):
            hits = lost.hits
            said = world.slack.conversations.say("alice", channel, f"<@{bot}> A question.")
            threads[channel] = await said
            await world.until(lambda before=hits: lost.hits > before, "a menu is on its way")  # type: ignore[misc]
        await world.stop_bot()
        world.slack.faults.clear()
        hidden = world.slack.workspace.channel("random").id
        fault = world.slack.faults.add(
            "conversations.replies", "hang", channel=hidden, times=-1, seconds=ENDLESS
        )
        await world.start_bot()
        await world.until(lambda: fault.hits, "the older one is looked for")
        await world.until(lambda: world.menus(threads["general"]), "the other menu")
        world.slack.faults.clear()
        await world.until(lambda: world.menus(threads["random"], "random"), "the older one's menu")
