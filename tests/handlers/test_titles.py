"""A chat's title in Slack's own lists: shown where Slack has sessions, and kept when a person changes it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.config.chats import StreamMode
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript
from handlers.threads import agent_session
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World

RENAME = "agents.sessions.rename"
OLD = "assistant.threads.setTitle"


async def titled_chat(
    world: World, title: str, channel: str = "general", user: str = "alice"
) -> str:
    """Makes a chat whose model gave it this title; returns the thread."""
    world.entitle(title)
    place = world.slack.workspace.dm(user) if channel == "direct" else channel
    if channel == "direct":
        thread = await world.slack.conversations.say(user, place, "Name this, please.")
        await world.until(lambda: world.menus(thread, place), "the menu")
        await world.choose(thread, user, channel=place)
    else:
        thread = await world.start("Name this, please.", user, place)
    await world.until(lambda: any(c["title"] == title for c in world.chats()), "the title")
    await world.idle()
    return thread


@pytest.mark.parametrize("channel", ["direct", "general"])
async def test_slacks_own_list_shows_the_title(world: World, channel: str) -> None:
    thread = await titled_chat(world, "Pears and Apples Compared", channel)
    place = world.slack.workspace.dm("alice") if channel == "direct" else channel
    assert world.slack.agent_sessions.title(place, thread) == "Pears and Apples Compared"
    assert len(world.slack.calls_of(RENAME)) == 1


async def test_the_older_call_is_used_where_slack_has_no_sessions(
    world: World,
) -> None:
    world.slack.faults.add(RENAME, error="unknown_method", times=-1)
    threads = [
        await titled_chat(world, f"Title of the {n}", "direct")
        for n in ("first", "second", "third")
    ]
    titles = [
        world.slack.agent_sessions.title(world.slack.workspace.dm("alice"), thread)
        for thread in threads
    ]
    assert titles == ["Title of the first", "Title of the second", "Title of the third"]
    assert (len(world.slack.calls_of(RENAME)), len(world.slack.calls_of(OLD))) == (1, 3)


async def test_the_older_call_is_not_made_in_channels(world: World) -> None:
    world.slack.faults.add(RENAME, error="unknown_method", times=-1)
    await titled_chat(world, "Only in the header")
    assert world.slack.calls_of(OLD) == []


async def test_a_thread_without_a_session_gets_one_with_its_title(world: World) -> None:
    """Edited answers open no session."""
    world.slack.faults.add(RENAME, error="session_not_found")
    thread = await titled_chat(world, "Brought into the list", "direct")
    assert (
        world.slack.calls_of("agents.sessions.setStatus")[0].args["title"]
        == "Brought into the list"
    )
    assert world.slack.calls_of(OLD) == []
    assert thread


async def test_a_rejected_title_has_no_other_effect(world: World) -> None:
    for method in (RENAME, OLD, "agents.sessions.setStatus"):
        world.slack.faults.add(method, error="channel_not_found", times=-1)
    thread = await titled_chat(world, "In the header all the same", "direct")
    channel = world.slack.workspace.dm("alice")
    assert world.header(thread, channel).text.startswith("*In the header all the same*")
    await world.slack.conversations.say("alice", channel, "And go on.", thread)
    await world.answered(thread, 2, channel)


async def test_a_persons_title_is_kept_and_shown(world: World) -> None:
    thread = await titled_chat(world, "What the model calls it")
    await world.slack.agent_sessions.rename("bob", "general", thread, "What we call it")
    await world.until(
        lambda: world.header(thread).text.startswith("*What we call it*"), "the header"
    )
    await world.slack.conversations.say("alice", "general", "One more thing.", thread)
    await world.answered(thread, 2)
    await world.idle()
    assert (world.chats()[0]["title"], world.chats()[0]["title_by"]) == (
        "What we call it",
        "person",
    )
    assert world.slack.agent_sessions.title("general", thread) == "What we call it"
    assert len(world.slack.calls_of(RENAME)) == 1


def title_request(world: World) -> Any:
    """The request for a title. Raises StopIteration while there is none."""
    return next(asked for asked in world.models.journal if asks_for_title(asked.messages))


async def test_a_title_set_before_the_models_is_kept(world: World) -> None:
    def slowly(asked: Any) -> ModelScript | None:
        return (
            ModelScript(["What the model calls it"], first_after=0.8)
            if asks_for_title(asked.messages)
            else None
        )

    world.models.answer_with(MODEL, slowly)
    thread = await world.start("Name this, please.")
    await world.answered(thread)
    await world.slack.agent_sessions.rename("alice", "general", thread, "What I call it")
    await world.until(lambda: title_request(world).ended_at is not None, "the model's title")
    await world.idle()
    assert (world.chats()[0]["title"], world.slack.agent_sessions.title("general", thread)) == (
        "What I call it",
        "What I call it",
    )


async def test_a_title_set_while_the_models_title_is_sent_wins(
    world: World,
) -> None:
    world.slack.faults.add(RENAME, "slow", seconds=0.6)
    world.entitle("What the model calls it")
    thread = await world.start("Name this, please.")
    await world.until(
        lambda: world.chats()[0]["title"] == "What the model calls it", "the model's title"
    )
    await world.slack.agent_sessions.rename("alice", "general", thread, "What I call it")
    await world.idle()
    await world.until(
        lambda: world.slack.agent_sessions.title("general", thread) == "What I call it",
        "the person's title",
    )
    assert world.chats()[0]["title_by"] == "person"


async def test_the_bots_own_rename_is_not_taken_for_a_persons(world: World) -> None:
    thread = await titled_chat(world, "What the model calls it")
    event = {"type": "agent_session_title_changed", "channel": "C0GENERAL", "thread_ts": thread}
    world.slack.subscriptions.deliver(
        {**event, "user": world.slack.bot_user.id, "title": "Another one"}
    )
    world.slack.subscriptions.deliver(
        {**event, "user": "U0ALICE", "title": "What the model calls it"}
    )
    world.slack.subscriptions.deliver({**event, "title": "From nobody"})
    world.slack.subscriptions.deliver({**event, "user": "U0ALICE", "title": "  "})
    await world.idle()
    assert (world.chats()[0]["title"], world.chats()[0]["title_by"]) == (
        "What the model calls it",
        "model",
    )


async def test_a_title_of_a_thread_without_a_chat_is_ignored(world: World) -> None:
    thread = await world.slack.conversations.say("alice", "general", "People among themselves.")
    await world.slack.agent_sessions.rename("alice", "general", thread, "A title for nothing")
    await world.idle()
    assert world.chats() == []


async def test_a_slow_title_delays_no_answer(world: World) -> None:
    def slowly(asked: Any) -> ModelScript | None:
        return (
            ModelScript(["Found after all"], first_after=1.5)
            if asks_for_title(asked.messages)
            else None
        )

    world.models.answer_with(MODEL, slowly)
    thread = await world.start("Name this, please.")
    await world.answered(thread)
    await world.slack.conversations.say("alice", "general", "And go on.", thread)
    await world.answered(thread, 2)
    assert (title_request(world).ended_at, world.chats()[0]["title"]) == (None, "New conversation")
    await world.until(
        lambda: world.header(thread).text.startswith("*Found after all*"), "the title"
    )


def test_a_title_fits_slacks_session() -> None:
    assert len(agent_session.session_title("a long title " * 40)) <= agent_session.MAX_TITLE_CHARS
    assert agent_session.session_title("two\nlines <!channel>") == "two lines channel"


@pytest.mark.parametrize("said", ["Sky", ""])
async def test_a_title_of_fewer_than_two_words_is_not_used(world: World, said: str) -> None:
    world.entitle(said)
    thread = await world.start("Name this, please.")
    await world.answered(thread)
    await world.until(lambda: title_request(world).ended_at is not None, "the model's title")
    await world.idle()
    assert (world.chats()[0]["title"], world.chats()[0]["title_by"]) == (
        "New conversation",
        "default",
    )
    assert world.header(thread).text.startswith("*New conversation*")

    await world.slack.conversations.say("alice", "general", "And go on.", thread)
    await world.answered(thread, 2)
    await world.idle()
    # It is tried once for each answer.
    assert len([a for a in world.models.journal if asks_for_title(a.messages)]) == 2


async def test_the_title_of_an_edited_answer_is_in_slacks_list_too(
    worlds: WorldFactory,
) -> None:
    """Slack renames only existing sessions, and edited answers open none."""
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        thread = await titled_chat(world, "Brought into the list", "direct")
        assert (
            world.slack.agent_sessions.title(world.slack.workspace.dm("alice"), thread)
            == "Brought into the list"
        )
