"""Lists of models in each provider's format: over real HTTP, with nothing replaced."""

from __future__ import annotations

import json

import pytest

from bot.domain.stream_events import (
    Done,
    TextDelta,
)
from bot.errors import InvalidResponse, KeyRejected, ProviderError, ProviderServerError
from bot.providers.base import ProviderKind, ProviderSettings
from bot.providers.model_list import parse_models
from tests.providers.harness import ProviderHarness, read
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    delta,
    responding,
    streaming,
)


async def test_openrouter_list_has_labels_context_and_vision(harness: ProviderHarness) -> None:
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
    async with ScriptedServer(responding({"data": entries})).running() as server:
        models = await harness.provider(server.url, "openrouter").models()
        assert server.received[0].path == "/models"
    assert [(m.ref.name, m.label, m.context, m.vision) for m in models] == [
        ("o/a", "O: A", 1000, True),
        ("o/gpt-4o-x", "O: X", None, False),
        ("o/draw", "O: Draw", None, False),
    ]
    assert [(m.draws, m.writes) for m in models] == [(False, True), (False, True), (True, False)]
    assert models[0].provider_label == "Any"


async def test_venice_list_is_reduced_to_text_models(harness: ProviderHarness) -> None:
    blind, sees = ({"capabilities": {"supportsVision": vision}} for vision in (False, True))
    spec = {"name": "Venice Uncensored", "availableContextTokens": 32768, **blind}
    entries = [
        {"id": "venice-uncensored", "type": "text", "model_spec": spec},
        {"id": "mistral-31-24b", "type": "text", "model_spec": sees},
        {"id": "flux", "type": "image", "model_spec": {}},
        {"id": "away", "type": "text", "model_spec": {"offline": True}},
    ]
    async with ScriptedServer(responding({"data": entries})).running() as server:
        models = await harness.provider(server.url, "venice").models()
    assert [(m.ref.name, m.label, m.context, m.vision) for m in models] == [
        ("venice-uncensored", "Venice Uncensored", 32768, False),
        ("mistral-31-24b", "mistral-31-24b", None, True),
    ]


async def test_models_that_cannot_chat_are_not_offered(harness: ProviderHarness) -> None:
    names = [
        "gpt-4o",
        "text-embedding-3-small",
        "whisper-1",
        "gpt-4o-realtime-preview",
        "dall-e-3",
        "llama-3",
        "nomic-embed-text",
    ]
    async with ScriptedServer(
        responding({"data": [{"id": name, "object": "model"} for name in names]})
    ).running() as server:
        models = await harness.provider(server.url).models()
    assert [(m.ref.name, m.vision) for m in models] == [("gpt-4o", True), ("llama-3", False)]


async def test_server_without_a_list_offers_its_default_model(harness: ProviderHarness) -> None:
    async with ScriptedServer(responding("", 404)).running() as server:
        assert [m.ref.name for m in await harness.provider(server.url).models()] == ["m"]


NO_LIST: dict[str, Behaviour] = {
    "not found": responding("", 404),
    "a page": responding("<html>", 404),
    "method not allowed": responding({"detail": "Method Not Allowed"}, 405),
    "bad request": responding({"error": "model is required"}, 400),
    "another page": responding("<html>"),
    "other JSON": responding({"hello": "world"}),
    "empty": responding({"data": []}),
}


@pytest.mark.parametrize("behaviour", NO_LIST.values(), ids=NO_LIST)
async def test_server_without_a_list_offers_what_the_settings_name(
    harness: ProviderHarness, behaviour: Behaviour
) -> None:
    async with ScriptedServer(behaviour).running() as server:
        provider = harness.provider(server.url, models=("a/one", "whisper-chat"))
        assert [m.ref.name for m in await provider.models()] == ["a/one", "whisper-chat"]
        assert await provider.ping() == 2


async def test_a_servers_own_list_counts_more_than_the_settings(harness: ProviderHarness) -> None:
    async with ScriptedServer(responding({"data": [{"id": "own"}]})).running() as server:
        provider = harness.provider(server.url, models=("a/one",))
        assert [m.ref.name for m in await provider.models()] == ["own"]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (responding("<html>"), InvalidResponse),
        (responding({"error": {"code": 401}}), KeyRejected),
        (responding({}), InvalidResponse),
        (responding("", 503), ProviderServerError),
    ],
)
async def test_failed_list_has_a_matching_error(
    harness: ProviderHarness, behaviour: Behaviour, expected: type[ProviderError]
) -> None:
    async with ScriptedServer(behaviour).running() as server:
        with pytest.raises(expected):
            await harness.provider(server.url).models()


async def test_ollama_list_is_read_in_its_own_format(harness: ProviderHarness) -> None:
    shown = {
        "llama3:latest": {
            "capabilities": ["completion"],
            "model_info": {"llama.context_length": 8192},
        },
        "gemma3:4b": {"capabilities": ["completion", "vision"]},
        "nomic-embed-text": {"capabilities": ["embedding"]},
    }

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.path == "/api/tags":
            models = [{"name": name, "digest": name} for name in [*shown, "llava:7b"]]
            await out.answer(
                json.dumps({"models": models}).encode(), content_type="application/json"
            )
        elif received.path == "/api/show" and received.body["model"] in shown:
            await out.answer(
                json.dumps(shown[received.body["model"]]).encode(), content_type="application/json"
            )
        elif received.path == "/v1/chat/completions":
            await streaming(delta("Hi"), DONE)(received, out)
        else:
            await out.answer(b'{"error": "model not found"}', 404, "application/json")

    async with ScriptedServer(behaviour).running() as server:
        for base in (server.url, f"{server.url}/v1/"):
            provider = harness.ollama(base)
            assert [
                (m.ref.name, m.label, m.context, m.vision) for m in await provider.models()
            ] == [
                ("llama3:latest", "llama3", 8192, False),
                ("gemma3:4b", "gemma3:4b", None, True),
                ("llava:7b", "llava:7b", None, True),
            ]
            assert await read(provider) == [TextDelta("Hi"), Done()]
        before = len([h for h in server.received if h.path == "/api/show"])
        await provider.models()
        again = [h.body["model"] for h in server.received if h.path == "/api/show"][before:]
        assert again == ["llava:7b"]
        assert "authorization" not in server.received[0].headers


async def test_other_server_at_ollamas_address_is_read_in_the_common_format(
    harness: ProviderHarness,
) -> None:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        found = received.path == "/v1/models"
        await out.answer(
            b'{"data": [{"id": "x"}]}' if found else b"", 200 if found else 404, "application/json"
        )

    async with ScriptedServer(behaviour).running() as server:
        provider = harness.ollama(server.url)
        assert [m.ref.name for m in await provider.models()] == ["x"]


async def test_ping_finds_a_bad_key_behind_a_public_list(harness: ProviderHarness) -> None:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        status = 200 if received.path == "/models" else 401
        await out.answer(b'{"data": [{"id": "x"}]}', status, "application/json")

    async with ScriptedServer(behaviour).running() as server:
        assert await harness.provider(server.url).ping() == 1
        kinds: tuple[ProviderKind, ...] = ("openrouter", "venice")
        for kind in kinds:
            with pytest.raises(KeyRejected):
                await harness.provider(server.url, kind).ping()


@pytest.mark.parametrize(
    ("url", "kind", "name", "takes"),
    [
        ("https://openrouter.ai/api/v1", "openrouter", "a/b", True),
        ("https://api.mistral.ai/v1", "mistral", "ministral-8b", True),
        ("https://api.openai.com/v1", "openai", "gpt-5", True),
        ("https://api.openai.com/v1", "openai", "gpt-3.5-turbo", False),
        ("http://localhost:8000/v1", "openai", "gpt-5", False),
        ("https://api.venice.ai/api/v1", "venice", "gpt-4o", False),
        ("https://api.anthropic.com/v1", "anthropic", "claude-opus", False),
    ],
)
def test_scans_are_offered_to_those_that_read_them(
    url: str, kind: ProviderKind, name: str, takes: bool
) -> None:
    (model,) = parse_models({"data": [{"id": name}]}, ProviderSettings(kind, kind, url, kind=kind))
    assert model.takes_pdfs is takes
