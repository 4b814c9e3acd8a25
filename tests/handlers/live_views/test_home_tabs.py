"""An open Home tab is up to date, within Slack's limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.sandbox.limits import Limits
from tests.handlers import bulk_chats
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_home import home, turn
from tests.handlers.test_lists import buttons, rows, titles
from tests.handlers.world import World, methods


async def test_an_open_home_tab_shows_new_chats_and_titles(world: World) -> None:
    """A chat begins, gets its title, and another user's chat stays out of the tab."""
    world.entitle("While You Were Looking")
    view = await home(world)
    await world.answered(await world.start("Look at this."))
    await world.answered(await world.start("Not yours.", user="bob"))

    await world.until(lambda: titles(view) == ["While You Were Looking"], "the chat with its title")
    assert "2 messages" in rows(view)[0]


async def test_an_update_keeps_the_page_that_is_shown(world: World) -> None:
    await bulk_chats.insert_chats(world, 30)
    view = await home(world)
    await turn(world, view, "Older")
    before = view.hash

    await world.answered(await world.start("Meanwhile."))
    await world.until(lambda: view.hash != before, "the renewal")

    assert titles(view)[0] == "Chat 19"
    assert "Newer" in buttons(view)


async def test_updates_are_at_least_three_seconds_apart(world: World) -> None:
    await home(world)
    began = asyncio.get_running_loop().time()
    thread = await world.start("Start.")
    for number in range(4):
        await world.slack.conversations.say("alice", "general", f"Reply number {number}.", thread)
    await world.answered(thread, 5)
    await world.idle()

    seconds = asyncio.get_running_loop().time() - began
    assert methods(world.slack.calls).count("views.publish") <= 2 + seconds / 3.0


async def test_leaving_a_private_channel_removes_its_chats_from_the_home_tab(world: World) -> None:
    await world.answered(
        await world.start("Among us leads.", user="bob", channel="leads"), channel="leads"
    )
    view = await home(world, "bob")
    assert len(rows(view)) == 1

    await world.slack.conversations.leave("bob", "leads")

    await world.until(lambda: not rows(view), "the shorter list")


async def test_opening_the_home_tab_detects_a_missed_departure(world: World) -> None:
    await world.answered(
        await world.start("Among us leads.", user="bob", channel="leads"), channel="leads"
    )
    world.slack.subscriptions.event_types -= {"member_left_channel"}
    await world.slack.conversations.leave("bob", "leads")

    view = await home(world, "bob")

    await world.until(lambda: not rows(view), "the shorter list")


async def test_a_newer_home_tab_of_another_process_is_not_overwritten(world: World) -> None:
    """Publications of two replicas carry Slack's hash; the outdated one gives way silently."""
    world.forgive("hash_conflict")
    view = await home(world)
    theirs = {"type": "home", "blocks": [{"type": "divider"}]}
    world.slack.modals.publish("U0ALICE", theirs)

    await world.answered(await world.start("Look at this."))
    await world.until(
        lambda: "hash_conflict" in [call.error for call in world.slack.refusals], "the refusal"
    )

    assert [block["type"] for block in view.blocks] == ["divider"]
    assert len(rows(await home(world))) == 1


async def test_a_disabled_home_tab_is_logged_once(world: World) -> None:
    world.forgive("not_enabled")
    world.slack.faults.add("views.publish", error="not_enabled", times=-1)
    for _ in range(3):
        await world.slack.views.open_home("alice")
        await world.idle()

    assert methods(world.slack.calls).count("views.publish") == 1
    assert [line["event"] for line in world.lines()].count("home_tab_not_enabled") == 1


@pytest.mark.parametrize("mode", ["lost", "garbage", "status", "ratelimited"])
async def test_failures_of_slack_only_delay_the_home_tab(world: World, mode: Any) -> None:
    world.forgive("ratelimited")
    world.slack.faults.add("views.publish", mode)
    await world.slack.views.open_home("alice")

    await world.until(
        lambda: methods(world.slack.calls).count("views.publish") >= 2, "the second attempt"
    )
    await world.until(lambda: world.slack.views.home("alice"), "the Home tab")


async def test_many_open_home_tabs_stay_within_slacks_limits(worlds: WorldFactory) -> None:
    async with worlds(limits=Limits()) as world:
        for user in ("alice", "bob", "carol"):
            await home(world, user)
        thread = await world.start("All of us.")
        for user in ("bob", "carol", "alice"):
            await world.slack.conversations.say(user, "general", f"Here is {user}.", thread)
        await world.answered(thread, 4)

        await world.until(
            lambda: all(rows(world.slack.views.home(u)) for u in ("alice", "bob", "carol")),
            "all lists",
        )
