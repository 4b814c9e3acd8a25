"""Pictures made by models stay with their chats: in branches, continuations and exports, until everything is erased."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import httpx

from bot.chats.retention import Eraser
from bot.domain import User
from bot.sandbox.models.scripts import ModelScript, Picture, words
from storage.erasure import Erasure, Selection
from tests.api.conftest import client, token_for
from tests.handlers.test_ask_another import ask_another, new_threads
from tests.handlers.test_continue_in_new_chat import summarising
from tests.handlers.test_header_menu import choose
from tests.handlers.test_pictures import PAINTER, RED, TEAL, files, paint
from tests.handlers.world import World, elements

EYE = "openai:demo/eye"


def kept(world: World) -> int:
    """Pictures in the database; none may be without its message."""
    orphans = "SELECT 1 FROM attachments WHERE message_id NOT IN (SELECT id FROM messages)"
    assert world.rows(orphans) == []
    return len(world.rows("SELECT 1 FROM attachments"))


async def shown_by_api(http: httpx.AsyncClient, chat: str) -> list[bytes]:
    """The pictures of a chat, by the addresses that the API names."""
    found = (await http.get(f"/chat/conversations/{chat}")).json()["messages"]
    urls = [image["url"] for message in found for image in message.get("images", ())]
    return [(await http.get(url)).content for url in urls]


async def test_branches_continuations_and_exports_have_their_pictures_until_they_are_erased(
    world: World,
) -> None:
    paint(world, Picture(TEAL))
    paint(world, Picture(RED))
    thread = await world.start("Draw a boat.", model=PAINTER)
    await world.until(lambda: len(files(world, thread)) == 1, "the first picture")
    await world.slack.conversations.say("bob", "general", "A red one.", thread)
    await world.until(lambda: len(files(world, thread)) == 2, "the second picture")
    await world.idle()
    old = world.chats()[0]["id"]

    world.say("I see it.", model="demo/eye")
    *_, second = (m for m in world.answers(thread) if elements(m, "ask_another"))
    await ask_another(world, second, "bob", EYE)
    await world.until(lambda: new_threads(world), "the branch")
    (root,) = new_threads(world)
    await world.answered(root.ts, 2)
    await world.idle()
    branch = world.chats()[-1]["id"]
    asked = world.models.requests()[-1].messages
    parts = [p for m in asked if isinstance(m["content"], list) for p in m["content"]]
    assert [p["type"] for p in parts if p["type"] == "image_url"] == ["image_url"]
    assert (kept(world), files(world, root.ts), len(files(world, thread))) == (3, [], 2)

    world.models.answer_with("*", summarising(ModelScript(words("Two boats, one red."))))
    await choose(world, thread, "continue")
    await world.until(lambda: len(new_threads(world)) == 2, "the continuation")
    await world.idle()
    assert (kept(world), len(files(world, thread))) == (3, 2)

    assert world.bot is not None
    eraser = Eraser(Erasure(world.bot.database))
    async with client(world, await token_for(world, "bob")) as bob:
        assert await shown_by_api(bob, branch) == [TEAL]
        exported = (await bob.get(f"/chat/conversations/{old}/export?format=json")).json()
        data = [i["data"] for m in exported["messages"] for i in m.get("images", ())]
        assert base64.b64decode(data[0]) == TEAL
        markdown = (await bob.get(f"/chat/conversations/{old}/export")).text
        assert markdown.count("picture-1.png") == 2
        alice = world.slack.workspace.user("alice").id
        await eraser.erase(Selection(user=User(world.slack.workspace.team_id, alice)))
        assert (await bob.get(f"/chat/conversations/{old}")).status_code == 404
        assert (kept(world), await shown_by_api(bob, branch)) == (1, [TEAL])
    await eraser.erase(Selection(before=datetime.now(UTC) + timedelta(days=1)))
    assert (kept(world), world.chats()) == (0, [])
