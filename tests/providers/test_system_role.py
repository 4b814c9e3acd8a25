"""Models without a system role: the instruction goes before the first turn once they refused it, and from then on."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain import ModelRef, Role
from bot.errors import RequestRefused
from bot.providers.base import ChatMessage, ModelRequest, ProviderSettings
from bot.providers.registry import Providers
from tests.providers.harness import text_of
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
)

REFUSALS: dict[str, tuple[int, Any]] = {
    "vLLM with Gemma": (400, {"object": "error", "message": "System role not supported"}),
    "llama.cpp with Gemma": (500, {"error": {"message": "Value error: System role not supported"}}),
    "Gemini": (400, [{"error": {"message": "Developer instruction is not enabled for gemma-3"}}]),
    "o1-mini": (
        400,
        {"error": {"message": "'messages[0].role' does not support 'system' with this model."}},
    ),
    "Mistral's template": (
        400,
        {"message": "Conversation roles must alternate user/assistant/user/assistant/..."},
    ),
    "Mixtral's template": (400, {"message": "Only user and assistant roles are supported!"}),
    "Anthropic": (400, {"error": {"message": 'messages: Unexpected role "system". Use system.'}}),
    "pydantic": (422, {"detail": "messages.0.role: Input should be 'user' or 'assistant'"}),
}
TURNS = [
    ChatMessage(Role.USER, "One"),
    ChatMessage(Role.ASSISTANT, "Two"),
    ChatMessage(Role.USER, "Three"),
]
REQUEST = ModelRequest(ModelRef("any", "m"), "Be brief.", TURNS)
PLAIN = [("user", "One"), ("assistant", "Two"), ("user", "Three")]
FOLDED = [("user", "Be brief.\n\nOne"), ("assistant", "Two"), ("user", "Three")]


def has_system(received: ReceivedRequest) -> bool:
    return any(message["role"] == "system" for message in received.body["messages"])


def refusing(status: int, body: Any, *, in_stream: bool = False) -> Any:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.method == "GET":
            await out.answer(b'{"data": [{"id": "m"}]}', content_type="application/json")
        elif not has_system(received):
            await out.answer(delta("Hi", "stop") + DONE)
        elif in_stream:
            await out.answer(data(body))
        else:
            await out.answer(data(body)[6:], status, content_type="application/json")

    return behaviour


def chats(server: ScriptedServer) -> list[list[tuple[str, str]]]:
    posts = [received for received in server.received if received.method == "POST"]
    return [[(m["role"], m["content"]) for m in each.body["messages"]] for each in posts]


@pytest.mark.parametrize("in_stream", [False, True], ids=["status", "stream"])
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refused_system_role_is_never_sent_again(name: str, in_stream: bool) -> None:
    status, body = REFUSALS[name]
    if in_stream:
        body = {"error": body[0]["error"] if isinstance(body, list) else body.get("error", body)}
    async with ScriptedServer(refusing(status, body, in_stream=in_stream)).running() as server:
        settings = ProviderSettings("any", "Any", server.url)
        async with await Providers.open([settings]) as providers:
            for _ in range(2):
                assert text_of([event async for event in providers.stream(REQUEST)]) == "Hi"
    assert chats(server) == [[("system", "Be brief."), *PLAIN], FOLDED, FOLDED]


async def test_other_refusals_are_not_taken_for_it() -> None:
    async with ScriptedServer(refusing(400, {"error": {"message": "No"}})).running() as server:
        providers = await Providers.open([ProviderSettings("any", "Any", server.url)])
        async with providers:
            with pytest.raises(RequestRefused):
                _ = [event async for event in providers.stream(REQUEST)]
    assert len(chats(server)) == 1
