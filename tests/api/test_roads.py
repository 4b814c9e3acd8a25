"""However a message gets into a chat, an API client that follows the chat is told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from tests.api.conftest import Api, address
from tests.api.test_sockets import Reader, socket_of
from tests.deadlines import WAIT_TIMEOUT
from tests.handlers.shared_files import TEXT_MODEL, VISION_MODEL
from tests.handlers.test_ask_another import ask_another
from tests.handlers.test_dialogs import field_values, open_by_command, wait_for_dialog
from tests.handlers.test_direct import send_direct
from tests.handlers.test_header_menu import choose as choose_in_header
from tests.handlers.test_home import home
from tests.handlers.test_shortcuts import open_on_message, text_only
from tests.handlers.world import World

Road = Callable[[World, Api], Awaitable[object]]


async def mention(world: World, api: Api) -> None:
    await world.start("By a mention.", model=TEXT_MODEL)


async def edited_mention(world: World, api: Api) -> None:
    ts = await world.slack.conversations.say("alice", "general", "By an edit.")
    text = f"<@{world.slack.bot_user.id}> By an edit."
    await world.slack.conversations.edit("alice", "general", ts, text)
    await world.until(lambda: world.menus(ts), "the menu")
    await world.choose(ts, model=TEXT_MODEL)


async def direct_message(world: World, api: Api) -> None:
    channel, thread = await send_direct(world, "In private.")
    await world.choose(thread, model=TEXT_MODEL, channel=channel)


async def reply(world: World, api: Api) -> None:
    await world.slack.conversations.say("bob", "general", "By a reply.", first_thread(world))


async def dialog(world: World, api: Api) -> None:
    await open_by_command(world)
    await world.slack.views.submit("alice", field_values("By the dialog."))


async def home_tab(world: World, api: Api) -> None:
    await world.slack.interactions.press("alice", await home(world), "new_chat")
    await wait_for_dialog(world)
    await world.slack.views.submit("alice", field_values("From the Home tab."))


async def shortcut(world: World, api: Api) -> None:
    ts = await world.slack.conversations.say("bob", "general", "Something was said.")
    await open_on_message(world, world.slack.workspace.message("general", ts))
    await world.slack.views.submit("alice", field_values("About a message."))


async def shortcut_in_a_chat(world: World, api: Api) -> None:
    message = world.slack.workspace.message("general", first_thread(world))
    await open_on_message(world, message)
    await world.slack.views.submit("alice", text_only("About this chat's message."))


async def another_model_in_slack(world: World, api: Api) -> None:
    await world.idle()
    first = world.answers(first_thread(world))[0]
    await ask_another(world, first, model=f"openai:{VISION_MODEL}")


async def another_model_by_program(world: World, api: Api) -> None:
    chat = await api.conversation(model=TEXT_MODEL)
    said = await api.say(chat, "To be asked of another.")
    body = {"from": said["userMessage"]["id"], "model": VISION_MODEL}
    await api.ask("POST", "/chat/conversations", 201, json=body)


async def continuation_in_slack(world: World, api: Api) -> None:
    await choose_in_header(world, first_thread(world), "continue")
    query = "SELECT thread FROM chats WHERE continues IS NOT NULL AND thread IS NOT NULL"
    await world.until(lambda: world.rows(query), "the new thread")
    thread = world.rows(query)[0]["thread"]
    await world.slack.conversations.say("alice", "general", "And on.", thread)


async def programs(world: World, api: Api) -> None:
    await api.say(await api.conversation(), "Over HTTP.")
    made = await api.ask("POST", "/api/v1/conversations", 201, json={})
    body = {"conversation_id": made["conversation_id"], "message": "By the chat box."}
    await api.ask("POST", "/api/v1/chat", json=body)
    made = await api.ask("POST", "/new-chat", json={"initial_message": "By the flows."})
    await world.idle()
    body = {"chat": made["chat"]["id"], "message": "And again."}
    await api.ask("POST", "/chat-message", json=body)


async def retry(world: World, api: Api) -> None:
    await world.idle()  # only this call meets the failure
    world.fail("http", status=401)
    thread = await world.start("To be tried again.", model=TEXT_MODEL)
    await world.until(lambda: world.ended(thread), "the failure")
    await world.idle()
    await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")


ROADS: tuple[Road, ...] = (
    mention,
    edited_mention,
    direct_message,
    reply,
    dialog,
    home_tab,
    shortcut,
    shortcut_in_a_chat,
    another_model_in_slack,
    another_model_by_program,
    continuation_in_slack,
    programs,
    retry,
)
NEW_ANSWERS = """
    SELECT answers.message_id AS id FROM answers JOIN chats ON chats.id = answers.chat_id
    WHERE chats.branch_of IS NULL OR answers.number =
      (SELECT max(number) FROM answers AS others WHERE others.chat_id = chats.id)
"""
"""All answers, without those that were copied into a branch."""


def first_thread(world: World) -> str:
    return str(world.rows("SELECT thread FROM chats ORDER BY created_at")[0]["thread"])


def new_answers(world: World) -> list[str]:
    return sorted(row["id"] for row in world.rows(NEW_ANSWERS))


async def told(alice: Reader) -> list[str]:
    """The answers whose pairs have arrived."""
    await alice.socket.send(json.dumps({"ping": len(alice.events)}))
    events = await alice.until(lambda event: "pong" in event)
    return sorted(each["assistant_message"]["id"] for each in events if "user_message" in each)


async def until_told(alice: Reader, count: int, road: str) -> None:
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            while len(await told(alice)) < count:
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"nothing was told of {road}")


async def test_every_message_is_announced_once(world: World, api: Api) -> None:
    async with socket_of(address(world), api.token) as alice:
        for road in ROADS:
            before = len(new_answers(world))
            await road(world, api)
            await world.until(lambda: len(new_answers(world)) > before, road.__name__)  # noqa: B023
            await until_told(alice, len(new_answers(world)), road.__name__)
        await world.idle()
        assert await told(alice) == new_answers(world)
