"""`GET /chat/conversations/{id}/export`: the whole chat as a file, for those who may see it."""

from __future__ import annotations

import base64
import json

import pytest

from bot.api.exported import ExportedConversation
from tests.api.conftest import Api
from tests.api.test_compat import EYE, data_url, picture
from tests.handlers.world import World

PNG = picture("PNG", (30, 20))


async def chat(world: World, api: Api) -> str:
    conversation = await api.conversation(title="Apples / “pears”", model=EYE)
    body = {"content": "How many?", "images": [data_url(PNG, "image/png")]}
    await api.ask("POST", f"/chat/conversations/{conversation}/messages", 201, json=body)
    return conversation


async def test_markdown_and_json_hold_the_whole_chat(world: World, api: Api) -> None:
    conversation = await chat(world, api)
    path = f"/chat/conversations/{conversation}/export"
    markdown = await api.http.get(path)
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert "attachment; filename*=UTF-8''Apples" in markdown.headers["content-disposition"]
    assert markdown.text.startswith("# Apples / “pears”\n")
    assert markdown.text.index("How many?") < markdown.text.index("30 × 20 pixels")

    whole = await api.http.get(path, params={"format": "json"})
    assert whole.headers["content-type"] == "application/json"
    body = json.loads(whole.text)
    assert body["conversation"]["id"] == conversation
    question, answer = body["messages"]
    described = ExportedConversation.model_validate(body)
    assert described.model_dump(by_alias=True, exclude_unset=True) == body
    assert question["content"] == "How many?"
    assert "30 × 20 pixels" in answer["content"]
    (image,) = question["images"]
    assert base64.b64decode(image["data"]) == PNG


@pytest.mark.parametrize("form", ["pdf", ""])
async def test_another_format_is_refused(world: World, api: Api, form: str) -> None:
    conversation = await chat(world, api)
    await api.ask("GET", f"/chat/conversations/{conversation}/export", 422, params={"format": form})


async def test_nobody_else_gets_it(world: World, api: Api, bobs: Api) -> None:
    conversation = await chat(world, api)
    await bobs.ask("GET", f"/chat/conversations/{conversation}/export", 404)
