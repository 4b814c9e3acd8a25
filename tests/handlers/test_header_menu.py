"""The `…` menu of a chat's header: Continue in a new chat, Export, Rename."""

from __future__ import annotations

from typing import Any

import pytest

from bot import strings
from bot.sandbox.state.records import Message
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_dialogs import wait_for_dialog
from tests.handlers.world import World, shown

ANSWER = "Two apples, <!channel>, and **no** pears."


async def chat(world: World) -> str:
    world.say(ANSWER)
    thread = await world.start("How many apples?")
    await world.answered(thread)
    await world.idle()
    return thread


async def choose(world: World, thread: str, what: str, user: str = "alice") -> None:
    header = world.header(thread)
    (row,) = world.rows("SELECT id FROM chats WHERE thread = ?", thread)
    await world.slack.interactions.choose(user, header, "chat_menu", f"{what}:{row['id']}")


def direct_messages(world: World, user: str) -> list[Message]:
    person = world.slack.workspace.user(user).id
    return [
        message
        for channel in world.slack.workspace.channels.values()
        if channel.id.startswith("D") and person in channel.members
        for message in world.slack.workspace.messages(channel.id)
    ]


async def test_the_menu_offers_the_three(worlds: WorldFactory) -> None:
    async with worlds() as world:
        thread = await chat(world)
        menu = await world.slack.interactions.menu("alice", world.header(thread), "chat_menu")
        labels = [option["text"]["text"] for option in menu["options"]]
        assert labels == ["Continue in a new chat", "Export", "Rename"]


async def test_export_sends_the_requester_the_chat_as_a_file(worlds: WorldFactory) -> None:
    async with worlds() as world:
        thread = await chat(world)
        await choose(world, thread, "export", "bob")
        await world.until(lambda: strings.EXPORT_SENT in world.whispers("bob"), "the notice")
        assert not direct_messages(world, "alice")
        (message,) = direct_messages(world, "bob")
        file = world.slack.workspace.files[message.files[0]]
        text = file.content.decode()
        assert file.name.endswith(".md")
        assert text.startswith("# ")
        assert "How many apples?" in text
        assert ANSWER in text
        assert [line["target"] for line in world.lines() if line.get("action") == "exported"]


async def test_export_without_the_scope_comes_as_text(worlds: WorldFactory) -> None:
    async with worlds() as world:
        world.slack.faults.add("files.getUploadURLExternal", times=-1, error="missing_scope")
        world.forgive("missing_scope")
        thread = await chat(world)
        await choose(world, thread, "export")
        told = strings.EXPORT_SENT_AS_TEXT
        await world.until(lambda: told in world.whispers("alice"), "the notice")
        texts = "\n".join(shown(message) for message in direct_messages(world, "alice"))
        assert "How many apples?" in texts
        assert "<!channel>" not in texts


@pytest.mark.parametrize(
    ("title", "as_shown"),
    [("Apples & pears", "Apples &amp; pears"), ("A <!channel> title", "A channel title")],
)
async def test_a_title_that_a_person_gives_is_kept(
    worlds: WorldFactory, title: str, as_shown: str
) -> None:
    """It is stored as it is; where it is shown, it cannot ping."""
    async with worlds() as world:
        thread = await chat(world)
        await choose(world, thread, "rename", "bob")
        view = await wait_for_dialog(world, "bob")
        await world.slack.views.submit("bob", values(title), view)
        await world.until(lambda: world.chats()[0]["title"] == title, "the title")
        await world.idle()
        assert world.chats()[0]["title_by"] == "person"
        assert f"*{as_shown}*" in str(world.header(thread).blocks)
        world.entitle("Another title")
        await world.slack.conversations.say("alice", "general", "And pears?", thread)
        await world.answered(thread, 2)
        await world.idle()
        assert world.chats()[0]["title"] == title


async def test_an_empty_title_is_refused_in_the_dialog(worlds: WorldFactory) -> None:
    async with worlds() as world:
        thread = await chat(world)
        await choose(world, thread, "rename")
        view = await wait_for_dialog(world)
        errors = await world.slack.views.submit("alice", values("  "), view)
        assert errors == {"bobbin.title": strings.RENAME_EMPTY}
        assert world.chats()[0]["title_by"] != "person"


async def test_continue_opens_a_new_chat(worlds: WorldFactory) -> None:
    async with worlds() as world:
        thread = await chat(world)
        await choose(world, thread, "continue")
        await world.until(lambda: len(world.chats()) == 2, "the continuation")
        await world.idle()
        assert world.chats()[1]["continues"] == world.chats()[0]["id"]


def values(title: str) -> dict[str, Any]:
    return {"bobbin.title": {"title": {"type": "plain_text_input", "value": title}}}
