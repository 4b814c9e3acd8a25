"""Lists of models in each provider's dialect: real HTTP, nothing of ours replaced."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from bot.domain import Done, TextDelta
from bot.errors import Garbled, KeyRejected, ProviderError, ServerFault
from bot.providers.base import Kind
from tests.providers.rude_server import (
    DONE,
    Heard,
    Manners,
    Out,
    RudeServer,
    answering,
    delta,
    saying,
)
from tests.providers.talk import Talk, read, talking


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    async with talking() as talk:
        yield talk


async def test_openrouter_tells_labels_context_and_sight(talk: Talk) -> None:
    sees = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
    entries = [
        {"id": "o/a", "name": "O: A", "context_length": 1000, "architecture": sees},
        {"id": "o/gpt-4o-x", "name": "O: X", "architecture": {"input_modalities": ["text"]}},
        {"id": "o/draw", "name": "O: Draw", "architecture": {"output_modalities": ["image"]}},
        {"id": "o/a", "name": "again"},
        {"name": ""},
        "nonsense",
        {"id": None},
    ]
    async with RudeServer(answering({"data": entries})).running() as server:
        models = await talk.provider(server.url, "openrouter").models()
        assert server.heard[0].path == "/models"
    assert [(m.ref.name, m.label, m.context, m.vision) for m in models] == [
        ("o/a", "O: A", 1000, True),
        ("o/gpt-4o-x", "O: X", None, False),
    ]
    assert models[0].provider_label == "Any"


async def test_venice_offers_its_text_models(talk: Talk) -> None:
    blind, sees = ({"capabilities": {"supportsVision": vision}} for vision in (False, True))
    spec = {"name": "Venice Uncensored", "availableContextTokens": 32768, **blind}
    entries = [
        {"id": "venice-uncensored", "type": "text", "model_spec": spec},
        {"id": "mistral-31-24b", "type": "text", "model_spec": sees},
        {"id": "flux", "type": "image", "model_spec": {}},
        {"id": "away", "type": "text", "model_spec": {"offline": True}},
    ]
    async with RudeServer(answering({"data": entries})).running() as server:
        models = await talk.provider(server.url, "venice").models()
    assert [(m.ref.name, m.label, m.context, m.vision) for m in models] == [
        ("venice-uncensored", "Venice Uncensored", 32768, False),
        ("mistral-31-24b", "mistral-31-24b", None, True),
    ]


async def test_what_cannot_hold_a_conversation_is_not_offered(talk: Talk) -> None:
    names = [
        "gpt-4o",
        "text-embedding-3-small",
        "whisper-1",
        "gpt-4o-realtime-preview",
        "dall-e-3",
        "llama-3",
        "nomic-embed-text",
    ]
    async with RudeServer(
        answering({"data": [{"id": name, "object": "model"} for name in names]})
    ).running() as server:
        models = await talk.provider(server.url).models()
    assert [(m.ref.name, m.vision) for m in models] == [("gpt-4o", True), ("llama-3", False)]


async def test_a_server_without_a_list_offers_its_default(talk: Talk) -> None:
    async with RudeServer(answering("", 404)).running() as server:
        assert [m.ref.name for m in await talk.provider(server.url).models()] == ["m"]


@pytest.mark.parametrize(
    ("manners", "expected"),
    [
        (answering("<html>"), Garbled),
        (answering({"error": {"code": 401}}), KeyRejected),
        (answering({}), Garbled),
        (answering("", 503), ServerFault),
    ],
)
async def test_no_list_has_a_reason(
    talk: Talk, manners: Manners, expected: type[ProviderError]
) -> None:
    async with RudeServer(manners).running() as server:
        with pytest.raises(expected):
            await talk.provider(server.url).models()


async def test_ollama_is_asked_in_its_own_way(talk: Talk) -> None:
    shown = {
        "llama3:latest": {
            "capabilities": ["completion"],
            "model_info": {"llama.context_length": 8192},
        },
        "gemma3:4b": {"capabilities": ["completion", "vision"]},
        "nomic-embed-text": {"capabilities": ["embedding"]},
    }

    async def manners(heard: Heard, out: Out) -> None:
        if heard.path == "/api/tags":
            models = [{"name": name, "digest": name} for name in [*shown, "llava:7b"]]
            await out.answer(
                json.dumps({"models": models}).encode(), content_type="application/json"
            )
        elif heard.path == "/api/show" and heard.body["model"] in shown:
            await out.answer(
                json.dumps(shown[heard.body["model"]]).encode(), content_type="application/json"
            )
        elif heard.path == "/v1/chat/completions":
            await saying(delta("Hi"), DONE)(heard, out)
        else:
            await out.answer(b'{"error": "model not found"}', 404, "application/json")

    async with RudeServer(manners).running() as server:
        for base in (server.url, f"{server.url}/v1/"):
            provider = talk.ollama(base)
            assert [
                (m.ref.name, m.label, m.context, m.vision) for m in await provider.models()
            ] == [
                ("llama3:latest", "llama3", 8192, False),
                ("gemma3:4b", "gemma3:4b", None, True),
                ("llava:7b", "llava:7b", None, True),
            ]
            assert await read(provider) == [TextDelta("Hi"), Done()]
        before = len([h for h in server.heard if h.path == "/api/show"])
        await provider.models()
        again = [h.body["model"] for h in server.heard if h.path == "/api/show"][before:]
        assert again == ["llava:7b"]
        assert "authorization" not in server.heard[0].headers


async def test_a_stranger_in_ollamas_place_is_asked_in_the_common_way(talk: Talk) -> None:
    async def manners(heard: Heard, out: Out) -> None:
        found = heard.path == "/v1/models"
        await out.answer(
            b'{"data": [{"id": "x"}]}' if found else b"", 200 if found else 404, "application/json"
        )

    async with RudeServer(manners).running() as server:
        provider = talk.ollama(server.url)
        assert [m.ref.name for m in await provider.models()] == ["x"]


async def test_a_ping_finds_a_bad_key_behind_an_open_list(talk: Talk) -> None:
    async def manners(heard: Heard, out: Out) -> None:
        status = 200 if heard.path == "/models" else 401
        await out.answer(b'{"data": [{"id": "x"}]}', status, "application/json")

    async with RudeServer(manners).running() as server:
        assert await talk.provider(server.url).ping() == 1
        kinds: tuple[Kind, ...] = ("openrouter", "venice")
        for kind in kinds:
            with pytest.raises(KeyRejected):
                await talk.provider(server.url, kind).ping()
