"""The alternative routes, and the attachments of messages."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from tests.api.conftest import Api, WorldFactory, client, token_for
from tests.handlers.world import World

EYE = "openai:demo/eye"


def picture(kind: str = "PNG", size: tuple[int, int] = (3, 2)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, "red").save(made, kind)
    return made.getvalue()


def data_url(data: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


async def test_v1_creates_a_conversation_and_answers_a_message(world: World, api: Api) -> None:
    world.entitle("A title")
    made = await api.ask("POST", "/api/v1/conversations", 201)
    assert set(made) == {"conversation_id", "title"}
    assert made["title"] == "New conversation"
    chat = made["conversation_id"]
    world.say("Answered.")
    said = await api.ask("POST", "/api/v1/chat", json={"conversation_id": chat, "message": "hello"})
    assert said["assistant_message"]["content"] == "Answered."
    assert said["user_message"]["content"] == "hello"
    assert said["conversation_title"] == "A title"
    world.fail("http", status=401)
    failed = await api.ask(
        "POST", "/api/v1/chat", 502, json={"conversation_id": chat, "message": "again"}
    )
    assert (failed["success"], failed["error"]) == (False, "Model failed")
    assert failed["assistant_message"]["status"] == "failed"
    both = await api.history(chat)
    assert [m["content"] for m in both["messages"]] == ["hello", "Answered.", "again", ""]


async def test_every_route_answers_a_full_conversation_alike(worlds: WorldFactory) -> None:
    async with (
        worlds(bobbin_max_messages=2) as world,
        client(world, await token_for(world)) as http,
    ):
        api = Api(http, "")
        chat = await api.conversation()
        await api.say(chat, "one")
        await world.idle()
        refusals = [
            await api.say(chat, "two", 429),
            await api.ask(
                "POST", "/api/v1/chat", 429, json={"conversation_id": chat, "message": "two"}
            ),
            await api.ask("POST", "/chat-message", 429, json={"chat": chat, "message": "two"}),
        ]
        assert refusals[0]["rateLimitReached"] is True
        assert all(refusal == refusals[0] for refusal in refusals)


KINDS = [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp")]


async def test_images_of_four_types_reach_a_model_with_vision(world: World, api: Api) -> None:
    for kind, mime in KINDS:
        chat = await api.conversation(model=EYE)
        encoded = base64.b64encode(picture(kind)).decode()
        said = await api.ask(
            "POST",
            f"/chat/conversations/{chat}/messages",
            201,
            json={
                "content": "what is this?",
                "images": [
                    data_url(picture(kind), mime),
                    {"type": mime, "data": encoded},
                    {"data": encoded},
                ],
            },
        )
        assert said["assistantMessage"]["content"].count(f"a {kind} picture, 3 × 2 pixels") == 3


NO_IMAGES: list[tuple[Any, str]] = [
    (["https://example.com/cat.png"], "Images are not fetched"),
    (["data:text/html;base64,PGI+"], "Images must be png"),
    (["data:image/png;base64,!!!"], "An image must be a data URL or base64."),
    (["file:///etc/passwd"], "Images are not fetched"),
    ([""], "Images must be png"),
    ([{"data": "AAAA", "type": "image/png"}], "Images must be png"),
    ([data_url(picture())] * 6, "at most 5 images"),
    ([data_url(b"\x89PNG\r\n\x1a\n" + bytes(5_000_001))], "at most 5 MB"),
    ([5], "images"),
    ("data:", "images"),
]


async def test_an_invalid_image_is_refused_and_nothing_is_stored(world: World, api: Api) -> None:
    chat = await api.conversation(model=EYE)
    for images, sentence in NO_IMAGES:
        body = {"content": "look", "images": images}
        refused = await api.ask("POST", f"/chat/conversations/{chat}/messages", 422, json=body)
        assert sentence in refused["message"]
        assert (await api.history(chat))["messages"] == []


async def test_images_are_refused_for_a_model_without_vision(world: World, api: Api) -> None:
    chat = await api.conversation()
    body = {"content": "look", "images": [data_url(picture())]}
    refused = await api.ask("POST", f"/chat/conversations/{chat}/messages", 422, json=body)
    assert refused["message"].startswith("Demo: Quick can't see images.")
    assert (
        "can't see"
        in (await api.ask("POST", "/new-chat", 422, json={"initial_message": "look", **body}))[
            "message"
        ]
    )
    assert (await api.ask("POST", "/list-chats"))["chats"] == []


async def test_artifacts_become_fenced_parts_of_the_message(world: World, api: Api) -> None:
    chat = await api.conversation()
    artifact = {
        "name": "notes\n.md",
        "type": "text/markdown",
        "content": "# Notes\n```\nnot the end\n```",
    }
    path = f"/chat/conversations/{chat}/messages"
    said = await api.ask("POST", path, 201, json={"content": "read this", "artifacts": [artifact]})
    text = "read this\n\nAttached: notes .md\n````markdown\n# Notes\n```\nnot the end\n```\n````"
    assert said["userMessage"]["content"] == text
    assert world.requests()[-1][-1] == ("user", text)
    for many in ([artifact] * 11, [{**artifact, "content": "x" * 150_000}] * 2):
        await api.ask("POST", path, 422, json={"content": "read", "artifacts": many})
    assert (await api.history(chat))["conversation"]["messageCount"] == 2


async def test_chat_lists_are_paged(world: World, api: Api) -> None:
    for number in range(3):
        await api.ask("POST", "/new-chat", json={"initial_message": f"message {number}"})
        await world.idle()
    first = await api.ask("POST", "/list-chats", json={"limit": 2})
    rest = await api.ask("POST", "/list-chats", json={"limit": 2, "cursor": first["next_cursor"]})
    assert [len(first["chats"]), len(rest["chats"]), rest["next_cursor"]] == [2, 1, None]
