"""Whatever can be pressed works from the first moment, or says privately why not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from bot import strings
from bot.sandbox.state.records import Ephemeral, Message, View
from bot.sandbox.state.workspace import Change
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_dialogs import wait_for_dialog
from tests.handlers.test_home import home
from tests.handlers.world import World, elements

Shown = Message | Ephemeral | View


def press_at_once(world: World, action_id: str, user: str = "alice") -> list[asyncio.Task[None]]:
    """Presses the first element with this action id in the moment in which Slack shows it."""
    presses: list[asyncio.Task[None]] = []

    def look(change: Change) -> None:
        shown = change.message or change.data.get("view") or change.data.get("ephemeral")
        if shown is None or presses or not elements(shown, action_id):
            return
        work = world.slack.interactions.press(user, shown, action_id)
        presses.append(asyncio.ensure_future(work))

    world.slack.workspace.subscribe(look)
    return presses


async def test_the_menus_button_works_in_the_first_moment(world: World) -> None:
    world.say("At once.")
    presses = press_at_once(world, "start_chat")
    thread = await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> Quick?"
    )

    assert await world.answered(thread) == ["At once."]
    await asyncio.gather(*presses)
    await world.idle()
    assert (len(world.headers(thread)), len(world.menus(thread))) == (1, 0)
    assert world.whispers("alice") == []


async def test_the_home_tabs_button_works_in_the_first_moment(world: World) -> None:
    presses = press_at_once(world, "new_chat")
    await world.slack.views.open_home("alice")

    await wait_for_dialog(world)
    await asyncio.gather(*presses)


async def test_the_home_tabs_old_checkbox_works_while_the_tab_is_republished(
    world: World,
) -> None:
    view = await home(world)
    block = next(b for b in view.blocks if str(b.get("block_id")).startswith("bobbin.prefer."))
    box = elements(view, "home_always")[0]["options"][0]  # type: ignore[arg-type]  # it has blocks
    before = view.hash
    model = {"text": {"type": "plain_text", "text": "Eye"}, "value": "openai:demo/eye"}
    choice = {"action_id": "home_model", "selected_option": model}
    await world.slack.interactions.act("alice", view, choice)
    await world.until(lambda: view.hash != before, "the tab with the model")

    old = {"action_id": "home_always", "block_id": block["block_id"], "selected_options": [box]}
    await world.slack.interactions.act("alice", view, old)
    await world.until(
        lambda: world.rows("SELECT 1 FROM people WHERE always"), "the preference is stored"
    )


# -- what cannot be done is said -----------------------------------------------------------------------------------


async def forged(world: World, block_id: str, action_id: str, thread: str) -> Message:
    """One of the bot's messages with a button whose block no row knows."""
    known = world.menus(thread)[-1]
    button = {"type": "button", "action_id": action_id, "value": "x"}
    button["text"] = {"type": "plain_text", "text": "Old"}  # type: ignore[assignment]
    block = {"type": "actions", "block_id": block_id, "elements": [button]}
    message = replace(
        known,
        ts=world.slack.workspace.next_ts(),
        revisions=[world.slack.workspace.revision("mrkdwn", "Old", [block])],
    )
    world.slack.workspace.post(message)
    return message


@pytest.mark.parametrize(
    "block_id",
    ["bobbin.choose.0123456789abcdef.openai:demo/quick", "bobbin.choose.", "something.else", "b"],
)
async def test_a_button_of_a_menu_that_no_row_knows_says_so(world: World, block_id: str) -> None:
    thread = await world.ask("The question that is known.")
    message = await forged(world, block_id, "start_chat", thread)
    await world.slack.interactions.press("alice", message, "start_chat")
    await world.until(lambda: world.whispers("alice") == [strings.REQUEST_UNKNOWN], "the reason")


async def test_a_menu_of_another_workspace_says_that_it_is_unknown(world: World) -> None:
    thread = await world.ask("Whose question is this?")
    await world.execute("UPDATE questions SET team = 'T0ELSEWHERE'")
    await world.slack.interactions.press("alice", world.menus(thread)[-1], "start_chat")
    await world.until(lambda: world.whispers("alice") == [strings.REQUEST_UNKNOWN], "the reason")
    await world.idle()
    assert world.chats() == []


async def test_a_press_where_the_bot_is_not_a_member_is_answered_by_the_response_url(
    world: World,
) -> None:
    world.forgive("not_in_channel", "channel_not_found")
    thread = await world.ask("Will you still be here?")
    menu = world.menus(thread)[-1]
    await world.slack.conversations.leave(world.slack.bot_user.id, "general")
    await world.slack.interactions.press("bob", menu, "start_chat")
    said = strings.ONLY_ASKER_CHOOSES.format(user="U0ALICE")
    await world.until(lambda: world.whispers("bob") == [said], "the reason")


async def _menu(world: World) -> tuple[Any, str]:
    thread = await world.ask("Can you store this?")
    return world.menus(thread)[-1], "start_chat"


async def _list(world: World) -> tuple[Any, str]:
    await world.answered(await world.start("One chat to list."))
    await world.idle()
    return (await world.slack.interactions.command("alice", "general", "/chats"))[
        0
    ], "chats_page.again"


@pytest.mark.parametrize(
    ("shown", "table", "reason"),
    [
        (_menu, "questions", strings.SAVE_FAILED),
        (_list, "chats", strings.LIST_NOT_SHOWN),
    ],
)
async def test_a_press_while_the_database_fails_says_so_and_works_later(
    worlds: WorldFactory,
    shown: Callable[[World], Awaitable[tuple[Any, str]]],
    table: str,
    reason: str,
) -> None:
    async with worlds() as world:
        what, action_id = await shown(world)
        world.allow_redelivery()  # Slack shows a warning beside a press that is not acknowledged
        await world.execute(f"ALTER TABLE {table} RENAME TO hidden")
        pressing = asyncio.create_task(world.slack.interactions.press("alice", what, action_id))
        await world.until(lambda: world.whispers("alice")[-1:] == [reason], "the reason")
        pressing.cancel()  # what fails is never acknowledged, and Slack would wait long for it here
        await asyncio.gather(pressing, return_exceptions=True)
        await world.execute(f"ALTER TABLE hidden RENAME TO {table}")
        before = world.slack.journal.counts.total()
        await world.slack.interactions.press("alice", what, action_id)
        await world.until(lambda: world.slack.journal.counts.total() > before, "it works")
        await world.idle()
        assert world.whispers("alice")[-1] == reason


# -- a process that was handling it dies -------------------------------------------------------------------------------

_CLAIMED_BY_THE_DEAD = """
CREATE TRIGGER dead BEFORE INSERT ON done_once WHEN NEW.owner != 'dead' BEGIN
    INSERT OR IGNORE INTO done_once (key, kept_until, owner)
    VALUES (NEW.key, strftime('%Y-%m-%d %H:%M:%f000', 'now', '+1 seconds'), 'dead');
END"""
"""Whatever is claimed had just been claimed by a process that has died since."""


async def _start(world: World) -> None:
    thread = await world.ask("Will you start?")
    await world.execute(_CLAIMED_BY_THE_DEAD)
    await world.slack.interactions.press("alice", world.menus(thread)[-1], "start_chat")
    await world.answered(thread)


async def _open_home(world: World) -> None:
    await world.execute(_CLAIMED_BY_THE_DEAD)
    await home(world)


async def _open_dialog(world: World) -> None:
    await world.execute(_CLAIMED_BY_THE_DEAD)
    await world.slack.interactions.command("alice", "general", "/chats", "new")
    await wait_for_dialog(world)


@pytest.mark.parametrize("act", [_start, _open_home, _open_dialog])
async def test_what_a_dead_process_was_handling_is_handled_by_the_next(
    worlds: WorldFactory, act: Callable[[World], Awaitable[None]]
) -> None:
    """The copy that Slack delivers meanwhile is not acknowledged before that."""
    async with worlds(timing=patient_timing(press_claim=2.0)) as world:
        await act(world)
        await world.execute("DROP TRIGGER dead")
