"""Scanned PDFs go to providers that read PDFs themselves; refused ones are left out once, and people are told."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from bot import english_strings, strings
from bot.api.exported import ExportedConversation
from tests.api.conftest import client, token_for
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.shared_files import say_with_files
from tests.handlers.test_ask_another import ask_another, new_threads
from tests.handlers.test_documents import SCAN
from tests.handlers.test_steps import cards
from tests.handlers.test_web_search import STOP, provider
from tests.handlers.world import MODEL, World, shown
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    delta,
    responding,
    streaming,
)
from tests.slow import slow_after

HI = streaming(delta("Hi."), STOP, DONE)


def parts(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The file parts of a request."""
    found = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
    return [part["file"] for each in found for part in each if part["type"] == "file"]


FILE = {
    "filename": "scan.pdf",
    "file_data": "data:application/pdf;base64," + base64.b64encode(SCAN.content).decode(),
}


async def ask(world: World, text: str, kind: str = "openrouter") -> str:
    thread = await say_with_files(world, f"<@{world.slack.bot_user.id}> {text}".strip(), SCAN)
    await world.until(lambda: world.menus(thread), "the menu")
    menu = world.menus(thread)[-1]
    await world.slack.interactions.choose("alice", menu, "model_menu", f"{kind}:{MODEL}")
    await world.answered(thread)
    return thread


@pytest.mark.parametrize("text", slow_after(1, ["What is it?", ""]))
async def test_a_scan_is_sent_kept_and_sent_again(worlds: WorldFactory, text: str) -> None:
    async with scripted_world(worlds, HI) as (world, server):
        await world.restart(**provider("openrouter", server.url))
        thread = await ask(world, text)
        assert parts(questions(server)[-1]) == [FILE]
        assert world.whispers("alice") == []
        await world.slack.conversations.say("bob", "general", "And now?", thread)
        await world.answered(thread, 2)
        assert parts(questions(server)[-1]) == [FILE]
        await say_with_files(world, "This too", SCAN, thread=thread)
        await world.answered(thread, 3)
        assert parts(questions(server)[-1]) == [FILE, FILE]

        other = "openrouter:other/model"
        await ask_another(world, world.answers(thread)[-1], model=other)
        await world.until(lambda: new_threads(world), "the branch")
        await world.answered(new_threads(world)[0].ts, 3)
        assert parts(questions(server)[-1]) == [FILE, FILE]


async def test_mistral_reads_scans_through_its_own_parts(worlds: WorldFactory) -> None:
    async def refusing(received: ReceivedRequest, out: ResponseWriter) -> None:
        message = {"object": "error", "message": "This model takes no document_url", "code": "3051"}
        refused = "document_url" in str(received.body["messages"])
        await (responding(message, 400) if refused else HI)(received, out)

    for behaviour in (HI, refusing):
        async with scripted_world(worlds, behaviour) as (world, server):
            await world.restart(**provider("mistral", server.url))
            thread = await ask(world, "What is it?", "mistral")
            await world.idle()
            part = {"type": "document_url", "document_url": FILE["file_data"]}
            assert part in questions(server)[0]["messages"][-1]["content"]
            denied = [card["title"] for card in cards(world.answers(thread)[0])]
            assert denied == ([strings.SCAN_REFUSED] if behaviour is refusing else [])


async def test_the_api_takes_scans_and_lists_no_picture(worlds: WorldFactory) -> None:
    async with scripted_world(worlds, HI) as (world, server):
        await world.restart(**provider("openrouter", server.url))
        async with client(world, await token_for(world)) as http:
            made = (await http.post("/chat/conversations", json={})).json()["conversation"]["id"]
            content = base64.b64encode(SCAN.content).decode()
            body = {"content": "Read it.", "files": [{"name": "scan.pdf", "content": content}]}
            said = await http.post(f"/chat/conversations/{made}/messages", json=body)
            assert (said.status_code, "images" in said.json()["userMessage"]) == (201, False)
        assert parts(questions(server)[-1]) == [FILE]


async def test_a_refused_scan_is_left_out_once_and_reported(worlds: WorldFactory) -> None:
    async def refusing(received: ReceivedRequest, out: ResponseWriter) -> None:
        refused = parts(received.body)
        message = {"error": {"message": "No endpoints found that support file input"}}
        await (responding(message, 404) if refused else HI)(received, out)

    async with scripted_world(worlds, refusing) as (world, server):
        await world.restart(**provider("openrouter", server.url))
        for asked in (2, 3):
            thread = await ask(world, "What is it?")
            await world.idle()
            (message,) = world.answers(thread)
            assert shown(message) == "Hi."
            assert [card["title"] for card in cards(message)] == [strings.SCAN_REFUSED]
            assert len(questions(server)) == asked
            last = str(questions(server)[-1]["messages"][-1]["content"])
            assert english_strings.SCAN_NOT_SENT.format(name="scan.pdf") in last
        steps = world.rows("SELECT kind, status FROM answer_steps")
        assert steps == [{"kind": "document", "status": "denied"}] * 2


async def test_a_scan_is_called_a_document_everywhere(worlds: WorldFactory) -> None:
    """In threads (for API messages), in exports, and in prompts."""
    content = base64.b64encode(SCAN.content).decode()
    body = {"content": "Read it.", "files": [{"name": "scan.pdf", "content": content}] * 2}
    async with scripted_world(worlds, HI) as (world, server):
        await world.restart(**provider("openrouter", server.url))
        thread = await ask(world, "What is it?")
        chat = f"/chat/conversations/{world.chats()[0]['id']}"
        async with client(world, await token_for(world)) as http:
            said = await http.post(f"{chat}/messages", json=body)
            assert said.status_code == 201, said.text
            echo = next(m for m in world.replies(thread) if "via API" in m.text)
            assert "_(with 2 documents)_" in str(echo.blocks)
            markdown = (await http.get(f"{chat}/export")).text
            assert markdown.count("_(Document: scan.pdf)_") == 3
            assert "Image" not in markdown
            exported = (await http.get(f"{chat}/export?format=json")).json()
        described = ExportedConversation.model_validate(exported)
        assert described.model_dump(by_alias=True, exclude_unset=True) == exported
        first, _, second, _ = exported["messages"]
        file = {"name": "scan.pdf", "type": "application/pdf", "data": content}
        assert (first["files"], second["files"]) == ([file], [file, file])
        assert not any("images" in message for message in exported["messages"])
