"""Messages between a mention and the choice of a model become part of the question."""

from __future__ import annotations

import re

import pytest

from bot import strings
from bot.sandbox.state.records import Message
from tests.handlers.shared_files import NOTES, sent_text
from tests.handlers.world import World
from tests.slow import slow_after


async def noted(world: World, ts: str) -> None:
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE said_until = ?", ts), "it is noted"
    )


async def say(world: World, user: str, text: str, thread: str, **more: object) -> str:
    """Says something in the thread; gives its ts once the bot knows of it."""
    ts = await world.slack.conversations.say(user, "general", text, thread, **more)  # type: ignore[arg-type]
    await noted(world, ts)
    return ts


async def test_what_the_asker_and_others_add_reaches_the_model(world: World) -> None:
    thread = await world.ask("Write quicksort.")
    await say(world, "alice", "In Rust, please.", thread)
    await say(world, "bob", "And short.", thread)
    await world.choose(thread)
    await world.answered(thread)
    await world.idle()

    assert world.requests()[0][-1] == (
        "user",
        "Write quicksort.\nIn Rust, please.\nbob: And short.",
    )
    assert len(world.messages(thread)) == 2


async def test_in_a_thread_of_people_it_comes_after_the_question(world: World) -> None:
    root = await world.slack.conversations.say("bob", "general", "The boiler drips.")
    await world.ask("what now?", thread=root)
    await say(world, "carol", "It is the old one.", root)
    await world.choose(root)
    await world.answered(root)

    prompt = world.requests()[0][-1][1]
    parts = ["bob: The boiler drips.", "what now?", "carol: It is the old one."]
    assert sorted(parts, key=prompt.index) == parts


async def test_files_that_others_add_are_read(world: World) -> None:
    thread = await world.ask("What do the notes say?")
    await say(world, "bob", "Here they are.", thread, files=[NOTES])
    await world.choose(thread)
    await world.answered(thread)

    assert "line two" in sent_text(world)


async def test_messages_count_as_they_are_when_the_chat_starts(world: World) -> None:
    thread = await world.ask("Write quicksort.")
    wrong = await say(world, "bob", "In Cobol.", thread)
    changed = await say(world, "bob", "Very long.", thread)
    await world.slack.conversations.delete("bob", "general", wrong)
    await world.slack.conversations.edit("bob", "general", changed, "Very short.")
    await world.choose(thread)
    await world.answered(thread)

    assert world.requests()[0][-1][1] == "Write quicksort.\nbob: Very short."


async def test_it_is_read_for_a_question_that_comes_after_the_choice(world: World) -> None:
    thread = await world.ask("")
    await world.choose(thread)
    await world.until(
        lambda: strings.WAITING_FOR_TEXT in world.replies(thread)[0].text, "it asks for it"
    )
    await say(world, "bob", "The moon is far.", thread)
    await world.slack.conversations.say("alice", "general", "How tall is it?", thread)
    await world.answered(thread)
    await world.idle()

    prompt = world.requests()[0][-1][1]
    assert "How tall is it?" in prompt
    assert "bob: The moon is far." in prompt
    assert len(world.headers(thread)) == 1


@pytest.mark.parametrize("first", ["the choice", "the question"])
async def test_remarks_keep_their_order_around_a_late_question(world: World, first: str) -> None:
    root = await world.slack.conversations.say("carol", "general", "We look at planets.")
    await world.ask("", thread=root)
    await say(world, "bob", "The moon is far.", root)
    if first == "the choice":
        await world.choose(root)
        await world.until(
            lambda: any(strings.WAITING_FOR_TEXT in reply.text for reply in world.replies(root)),
            "it asks for it",
        )
        await world.slack.conversations.say("alice", "general", "How tall is it?", root)
        parts = ["carol: We look at planets.", "bob: The moon is far.", "How tall is it?"]
    else:
        await world.slack.conversations.say("alice", "general", "How tall is it?", root)
        await world.until(
            lambda: world.rows("SELECT 1 FROM questions WHERE text IS NOT NULL"), "the question"
        )
        await say(world, "bob", "In miles.", root)
        await world.choose(root)
        parts = [
            "We look at planets.",
            "bob: The moon is far.",
            "How tall is it?",
            "bob: In miles.",
        ]
    await world.answered(root)

    prompt = world.requests()[0][-1][1]
    assert sorted(parts, key=prompt.index) == parts
    assert all(prompt.count(part) == 1 for part in parts)


async def test_a_question_of_somebody_else_is_not_read_twice(world: World) -> None:
    thread = await world.ask("The first question?")
    bot = world.slack.bot_user.id
    await world.slack.conversations.say("bob", "general", f"<@{bot}> the second?", thread)
    await world.until(lambda: len(world.menus(thread)) == 2, "a menu for each")
    await say(world, "carol", "A remark.", thread)
    first, second = world.menus(thread)
    await world.slack.interactions.press("alice", first, "start_chat")
    await world.slack.interactions.press("bob", second, "start_chat")
    await world.answered(thread, 2)

    asked = [m["text"] for m in world.messages(thread) if m["role"] == "user"]
    assert sum("the second?" in text for text in asked) == 1
    assert "A remark." in asked[0]


async def test_without_anything_said_no_thread_is_read(world: World) -> None:
    await world.answered(await world.start("Nothing to add."))
    assert world.slack.calls_of("conversations.replies") == []


# -- an edit that adds a mention -----------------------------------------------------------------------------------


async def test_a_mention_that_an_edit_adds_counts_as_one(world: World) -> None:
    ts = await world.slack.conversations.say("alice", "general", "How tall is the moon?")
    await world.idle()
    text = f"<@{world.slack.bot_user.id}> How tall is the moon?"
    await world.slack.conversations.edit("alice", "general", ts, text)
    await world.until(lambda: world.menus(ts), "the menu")
    await world.slack.conversations.edit("alice", "general", ts, f"{text} Really?")
    await world.idle()
    assert len(world.menus(ts)) == 1

    await world.choose(ts)
    await world.answered(ts)
    assert world.requests()[0][-1][1] == "How tall is the moon?"


async def test_an_edit_changes_nothing_in_a_chat(world: World) -> None:
    thread = await world.start("How tall is the moon?")
    await world.answered(thread)
    aside = f"<@{world.slack.workspace.user('bob').id}> look at this"
    ts = await world.slack.conversations.say("alice", "general", aside, thread)
    await world.idle()
    text = f"<@{world.slack.bot_user.id}> look at this"
    await world.slack.conversations.edit("alice", "general", ts, text)
    await world.idle()

    assert (len(world.messages(thread)), len(world.menus(thread))) == (2, 0)


# -- what Slack refuses for a while --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    slow_after(
        2,
        [{"error": "missing_scope"}, {"mode": "ratelimited"}, {"mode": "status", "status": 503}],
    ),
    ids=["missing_scope", "429", "503"],
)
async def test_context_that_slack_refuses_for_a_while_is_due(
    world: World, fault: dict[str, object]
) -> None:
    world.forgive("missing_scope")
    world.slack.faults.add("conversations.replies", times=2, **fault)  # type: ignore[arg-type]
    root = await world.slack.conversations.say("bob", "general", "The boiler drips.")
    await world.ask("what now?", thread=root)
    await world.choose(root)
    await world.answered(root)

    assert "bob: The boiler drips." in world.requests()[0][-1][1]
    assert world.whispers("alice") == []


LONG_THREADS = {
    "dense": (range(2_100, 0, -1), 45, 8),
    "sparse": (range(300 * 60_000, 0, -60_000), 45, 8),
    "slow": (range(210 * 3_000_000, 0, -3_000_000), 45, 8),
    "a busy day before": ([*range(38_100, 36_000, -1), *range(1_000, 0, -100)], 10, 14),
    "a busy day that ends now": ([*range(37_980, 36_000, -1), *range(3_000, 0, -100)], 45, 14),
}
"""Seconds before the question, of more messages than Slack returns at once; how many of them the model reads at least;
and how often Slack is asked at most."""


@pytest.mark.parametrize("kind", slow_after(2, LONG_THREADS))
async def test_of_a_long_thread_the_model_reads_the_beginning_and_the_newest_messages(
    world: World, kind: str
) -> None:
    ages, least, calls = LONG_THREADS[kind]
    count = len(ages)
    workspace = world.slack.workspace
    bob, channel = workspace.user("bob").id, workspace.channel("general").id
    now = float(workspace.next_ts())
    written = [f"{now - age:.6f}" for age in ages]
    heard = world.slack.subscriptions.event_types
    world.slack.subscriptions.event_types = frozenset()
    for n, ts in enumerate(written):
        said = workspace.revision("posted", f"line {n}", [])
        workspace.post(Message(channel, ts, bob, written[0], [said]))
    world.slack.subscriptions.event_types = heard
    await world.ask("what now?", thread=written[0])
    await world.choose(written[0])
    await world.answered(written[0])
    lines = re.findall(r"bob: line (\d+)", world.requests()[0][-1][1])
    assert lines == ["0", *map(str, range(count - len(lines) + 1, count))]
    assert len(lines) >= least
    assert len(world.slack.calls_of("conversations.replies")) <= calls
