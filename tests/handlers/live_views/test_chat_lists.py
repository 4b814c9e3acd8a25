"""A list that is used updates itself, within the limits of its response_url."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.deadlines import patient_timing
from tests.handlers import bulk_chats
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_lists import listed, note, refresh, rows, titles, turn
from tests.handlers.world import World


@pytest.fixture
async def quick_world(worlds: WorldFactory) -> AsyncIterator[World]:
    """The usual world, in which lists that are looked at are updated almost at once."""
    async with worlds(timing=patient_timing(chat_list_update_delays=(0.1, 0.1, 0.1, 0.1))) as usual:
        yield usual


async def test_a_used_list_is_updated_when_a_chat_is_new_grows_or_is_renamed(
    quick_world: World,
) -> None:
    await bulk_chats.insert_chats(quick_world, 1)
    shown = await listed(quick_world)
    await refresh(quick_world, shown)

    quick_world.entitle("Something quite new")
    thread = await quick_world.start("Something new.")
    await quick_world.until(
        lambda: titles(shown) == ["Something quite new", "Chat 0"], "the new chat with its title"
    )
    await quick_world.slack.conversations.say("bob", "general", "More of it.", thread)
    await quick_world.until(lambda: "4 messages" in rows(shown)[0], "the longer chat")
    await quick_world.slack.agent_sessions.rename("alice", "general", thread, "What I call it")
    await quick_world.until(lambda: titles(shown)[0] == "What I call it", "the changed title")

    await quick_world.idle()
    assert [each.id for each in quick_world.slack.workspace.ephemerals("alice", "general")] == [
        shown.id
    ]


async def test_a_response_url_is_used_at_most_five_times(
    quick_world: World,
) -> None:
    """Slack refuses a sixth use, which would fail the test."""
    thread = await quick_world.start("The first question.")
    await quick_world.answered(thread)
    shown = await listed(quick_world)
    await refresh(quick_world, shown)
    for turn_of in range(8):
        await quick_world.slack.conversations.say(
            "alice", "general", f"Question {turn_of}.", thread
        )
        await quick_world.answered(thread, turn_of + 2)
        await quick_world.idle()
    assert "18 messages" not in rows(shown)[0]

    await refresh(quick_world, shown)
    assert "18 messages" in rows(shown)[0]
    await quick_world.slack.conversations.say("alice", "general", "One more.", thread)
    await quick_world.until(lambda: "20 messages" in rows(shown)[0], "the list as it is now")


async def test_an_update_keeps_the_page_of_the_list(quick_world: World) -> None:
    await bulk_chats.insert_chats(quick_world, 25)
    shown = await listed(quick_world)
    await turn(quick_world, shown, "Older")
    await turn(quick_world, shown, "Newer")
    await turn(quick_world, shown, "Older")
    await quick_world.answered(await quick_world.start("Something new."))
    await quick_world.until(lambda: note(shown) == "11–20 of 26", "the page anew")
    await quick_world.idle()
    assert note(shown) == "11–20 of 26"


async def test_an_update_repeats_the_search(quick_world: World) -> None:
    await bulk_chats.insert_chats(quick_world, 2, text=lambda n: "a lighthouse" if n else "a boat")
    shown = await listed(quick_world, "lighthouse")
    await refresh(quick_world, shown)
    await quick_world.answered(await quick_world.start("A boat.", user="alice"))
    await quick_world.answered(await quick_world.start("Another lighthouse."))
    await quick_world.until(lambda: len(rows(shown)) == 2, "the chat that has come")


async def test_leaving_a_private_channel_updates_only_that_persons_list(
    quick_world: World,
) -> None:
    thread = await quick_world.start("Among us leads.", channel="leads")
    await quick_world.answered(thread, channel="leads")
    await quick_world.slack.conversations.say("bob", "leads", "I take part.", thread)
    await quick_world.answered(thread, 2, channel="leads")
    chat_lists = {user: await listed(quick_world, user=user) for user in ("alice", "bob")}
    for user, shown in chat_lists.items():
        await refresh(quick_world, shown, user)

    before = chat_lists["alice"].blocks
    await quick_world.slack.conversations.leave("bob", "leads")
    await quick_world.until(lambda: rows(chat_lists["bob"]) == [], "the shorter list")
    assert chat_lists["alice"].blocks is before


async def test_a_list_whose_buttons_were_not_used_is_not_updated(
    quick_world: World,
) -> None:
    """The command's response URL cannot replace its message: Slack would show a second list below."""
    await bulk_chats.insert_chats(quick_world, 1)
    shown = await listed(quick_world)
    await quick_world.answered(await quick_world.start("Something new."))
    await quick_world.idle()
    assert [each.id for each in quick_world.slack.workspace.ephemerals("alice", "general")] == [
        shown.id
    ]
    assert titles(shown) == ["Chat 0"]


async def test_a_list_shown_by_another_process_is_not_updated(quick_world: World) -> None:
    await bulk_chats.insert_chats(quick_world, 1)
    shown = await listed(quick_world)
    await refresh(quick_world, shown)
    assert quick_world.bot is not None
    coordination = quick_world.bot.service._publisher._coordination
    await coordination.publish(
        "lists", {"team": "T0SANDBOX", "user": "U0ALICE", "by": "another process"}
    )
    await quick_world.answered(await quick_world.start("Something new."))
    await quick_world.idle()
    assert titles(shown) == ["Chat 0"]
