"""Each hosted provider's dialect: how it lists models, streams, counts and refuses. Over real HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.domain import Usage
from bot.errors import ContextTooLong, KeyRejected, ModelBusy, NoCredit, ProviderError
from bot.providers.base import ProviderKind, ProviderSettings
from bot.providers.dialects import request_headers
from tests.providers.harness import KEY, ProviderHarness, read, text_of
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
    responding,
    streaming,
)

LISTS: dict[ProviderKind, tuple[Any, list[tuple[str, str, int | None, bool]]]] = {
    "anthropic": (
        {
            "data": [
                {"type": "model", "id": "claude-next", "display_name": "Claude Next", "max_input_tokens": 200_000,
                 "capabilities": {"image_input": {"supported": True}}},
                {"type": "model", "id": "claude-blind", "display_name": "Claude Blind",
                 "capabilities": {"image_input": {"supported": False}}},
            ],
            "has_more": False,
        },
        [("claude-next", "Claude Next", 200_000, True), ("claude-blind", "Claude Blind", None, False)],
    ),
    "gemini": (
        {"object": "list", "data": [
            {"id": f"models/{name}", "object": "model", "owned_by": "google"}
            for name in ("gemini-3-pro", "gemini-embedding-001", "text-embedding-004", "imagen-4.0-generate-001",
                         "veo-3.0-generate-preview", "gemini-2.5-flash-preview-tts", "aqa", "lyria-realtime-exp",
                         "gemini-2.5-flash-native-audio-latest", "gemini-live-2.5-flash-preview", "gemma-3-27b-it")
        ]},
        [("gemini-3-pro", "gemini-3-pro", None, True), ("gemma-3-27b-it", "gemma-3-27b-it", None, True)],
    ),
    "groq": (
        {"object": "list", "data": [
            {"id": "llama-4-scout", "active": True, "context_window": 131_072},
            {"id": "retired-70b", "active": False, "context_window": 8_192},
            {"id": "whisper-large-v3", "active": True, "context_window": 448},
            {"id": "meta-llama/llama-guard-4-12b", "active": True},
            {"id": "meta-llama/llama-prompt-guard-2-86m", "active": True},
            {"id": "playai-tts", "active": True},
            {"id": "canopylabs/orpheus-v1-english", "active": True},
        ]},
        [("llama-4-scout", "llama-4-scout", 131_072, True)],
    ),
    "mistral": (
        {"object": "list", "data": [
            {"id": name, "name": "mistral-medium-2604", "max_context_length": 131_072, "type": "base",
             "capabilities": {"completion_chat": True, "vision": True}}
            for name in ("mistral-medium-2604", "mistral-medium-latest")
        ] + [
            {"id": "mistral-embed", "capabilities": {"completion_chat": False}},
            {"id": "mistral-ocr-latest", "capabilities": {"completion_chat": False, "vision": True}},
            {"id": "mistral-moderation-latest", "capabilities": {"completion_chat": False}},
            {"id": "voxtral-mini-transcribe", "capabilities": {"completion_chat": False}},
        ]},
        [("mistral-medium-2604", "mistral-medium-2604", 131_072, True),
         ("mistral-medium-latest", "mistral-medium-latest", 131_072, True)],
    ),
    "deepseek": (
        {"object": "list", "data": [{"id": "deepseek-chat", "object": "model", "owned_by": "deepseek"}]},
        [("deepseek-chat", "deepseek-chat", None, False)],
    ),
    "xai": (
        {"object": "list", "data": [
            {"id": name, "object": "model", "owned_by": "xai"}
            for name in ("grok-4.20", "grok-2-image-1212", "grok-imagine-video")
        ]},
        [("grok-4.20", "grok-4.20", None, False)],
    ),
    "together": (
        [
            {"id": "meta-llama/Llama-4", "type": "chat", "display_name": "Llama 4", "context_length": 1_048_576},
            {"id": "base/model", "type": "language", "display_name": "A base model"},
            {"id": "BAAI/bge-large", "type": "embedding"},
            {"id": "black-forest-labs/FLUX.1", "type": "image"},
            {"id": "Salesforce/Llama-Rank", "type": "rerank"},
            {"id": "meta-llama/Guard", "type": "moderation"},
            {"id": "openai/whisper-large-v3", "type": "transcribe"},
            {"id": "cartesia/sonic", "type": "audio"},
        ],
        [("meta-llama/Llama-4", "Llama 4", 1_048_576, True)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LISTS)
async def test_each_providers_list_has_its_text_models(
    harness: ProviderHarness, kind: ProviderKind
) -> None:
    """And none that only embeds, ranks, speaks, transcribes, moderates or draws."""
    payload, expected = LISTS[kind]
    async with ScriptedServer(responding(payload)).running() as server:
        models = await harness.provider(server.url, kind).models()

    assert [(m.ref.name, m.label, m.context, m.vision) for m in models] == expected


async def test_anthropics_list_is_asked_for_in_its_own_way(harness: ProviderHarness) -> None:
    """Which is not of OpenAI's format; the answer is."""
    async with ScriptedServer(responding({"data": [], "has_more": False})).running() as server:
        await harness.provider(f"{server.url}/v1?region=eu", "anthropic").models()

    (asked,) = server.received
    assert asked.headers["x-api-key"] == KEY
    assert asked.headers["anthropic-version"]
    assert asked.path == "/v1/models?region=eu&limit=1000"


def test_anthropics_own_server_gets_no_bearer_for_its_list() -> None:
    """It takes one for a token of another kind; for an answer it wants one."""
    settings = ProviderSettings(
        "anthropic", "Anthropic", "https://api.anthropic.com/v1", KEY, kind="anthropic"
    )
    assert "Authorization" not in request_headers(settings, listing=True)
    assert request_headers(settings, listing=False) == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "host", ["res.openai.azure.com", "res.cognitiveservices.azure.com", "res.services.ai.azure.com"]
)
def test_azure_gets_the_key_in_its_own_header(host: str) -> None:
    """Beside the usual one, which its v1 endpoint takes too."""
    settings = ProviderSettings("openai", "Azure", f"https://{host}/openai/v1", KEY)
    headers = request_headers(settings, listing=False)
    assert headers == {"api-key": KEY, "Authorization": f"Bearer {KEY}"}


def paged(kind: str, names: list[str], size: int) -> Behaviour:
    """A list in pages of `size`, by cursor."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        query = parse_qs(urlsplit(received.path).query)
        after = query.get("after_id" if kind == "anthropic" else "after", [None])[0]
        begin = names.index(after) + 1 if after else 0
        page = names[begin : begin + size]
        more = begin + size < len(names)
        entries = [{"id": name, "type": "model"} for name in page]
        await responding({"data": entries, "has_more": more, "last_id": page[-1]})(received, out)

    return behaviour


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_a_list_in_pages_is_read_to_its_end(
    harness: ProviderHarness, kind: ProviderKind
) -> None:
    names = [f"m/{number} ä" for number in range(45)]
    async with ScriptedServer(paged(kind, names, 20)).running() as server:
        models = await harness.provider(server.url, kind).models()

    assert [info.ref.name for info in models] == names
    assert len(server.received) == 3


async def test_a_list_without_an_end_ends(harness: ProviderHarness) -> None:
    """A server that ignores the cursor sends the same page for ever."""
    page = {"data": [{"id": "m"}], "has_more": True, "last_id": "m"}
    async with ScriptedServer(responding(page)).running() as server:
        models = await harness.provider(server.url, "anthropic").models()

    assert [info.ref.name for info in models] == ["m"]
    assert len(server.received) <= 20


async def test_hundreds_of_models_are_offered(harness: ProviderHarness) -> None:
    entries = [{"id": f"maker/model-{number}", "type": "chat"} for number in range(700)]
    async with ScriptedServer(responding(entries)).running() as server:
        assert len(await harness.provider(server.url, "together").models()) == 700


STREAMS: dict[str, tuple[tuple[bytes, ...], str, Usage | None]] = {
    "Azure begins with a filter's verdict": (
        (data({"choices": [], "prompt_filter_results": [{}]}), delta("Hi"), delta("", "stop"), DONE),
        "Hi", None,
    ),
    "Groq counts in a field of its own": (
        (delta("Hi"), data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                            "x_groq": {"id": "r", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}}), DONE),
        "Hi", Usage(7, 3),
    ),
    "Mistral thinks in parts": (
        (delta([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
         delta([{"type": "text", "text": "Hi"}]),
         data({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
               "usage": {"prompt_tokens": 7, "completion_tokens": 3, "num_cached_tokens": 4}}), DONE),
        "Hi", Usage(7, 3, cached_tokens=4),
    ),
    "DeepSeek names its cache": (
        (delta(reasoning_content="hm"), delta("Hi"), delta("", "stop"),
         data({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 5,
                                        "prompt_cache_miss_tokens": 2}}), DONE),
        "Hi", Usage(7, 3, cached_tokens=5),
    ),
    "Gemini signs its thoughts": (
        (data({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi", "extra_content":
              {"google": {"thought_signature": "c2ln"}}}, "finish_reason": "stop"}],
               "usage": {"prompt_tokens": 7, "completion_tokens": 3}}), DONE),
        "Hi", Usage(7, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS)
async def test_each_providers_stream_is_read(harness: ProviderHarness, case: str) -> None:
    pieces, text, usage = STREAMS[case]
    events = await harness.events(streaming(*pieces))

    assert text_of(events) == text
    assert [event for event in events if isinstance(event, Usage)] == ([usage] if usage else [])


@pytest.mark.parametrize(
    ("kind", "field", "rejection"),
    [
        ("mistral", "stream_options", {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]}),
        ("together", "stream_options", {"error": {"message": "Unknown field: stream_options"}}),
    ],
)  # fmt: skip
async def test_a_field_that_a_provider_does_not_know_is_left_out(
    harness: ProviderHarness, kind: ProviderKind, field: str, rejection: Mapping[str, Any]
) -> None:
    """The answer comes all the same, and the next request goes without it."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        if field in received.body:
            await responding(rejection, status=422)(received, out)
        else:
            await streaming(delta("Hi", "stop"), DONE)(received, out)

    async with ScriptedServer(behaviour).running() as server:
        provider = harness.provider(server.url, kind)
        assert text_of(await read(provider)) == "Hi"
        assert text_of(await read(provider)) == "Hi"

    assert len(server.received) == 3


REFUSALS: dict[str, tuple[int, Any, type[ProviderError]]] = {
    "Anthropic, key": (401, {"error": {"type": "authentication_error", "message": "invalid x-api-key"}}, KeyRejected),
    "Anthropic, credit": (400, {"error": {"type": "invalid_request_error",
                          "message": "Your credit balance is too low to access the Anthropic API."}}, NoCredit),
    "Anthropic, overloaded": (529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}, ProviderError),
    "Gemini, key": (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT"}}], KeyRejected),
    "Groq, tokens a minute": (413, {"error": {"message": "Request too large for model on tokens per minute (TPM)",
                              "code": "rate_limit_exceeded"}}, ModelBusy),
    "Mistral, too long": (400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft tokens, too "
                          "large for model with 32768 maximum context length", "type": "invalid_request_error"},
                          ContextTooLong),
    "DeepSeek, credit": (402, {"error": {"message": "Insufficient Balance"}}, NoCredit),
    "xAI, key": (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***"},
                 KeyRejected),
    "Together, too long": (403, {"error": {"message": "The input token count exceeds the context length limit"}},
                           ContextTooLong),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
async def test_each_providers_refusals_are_understood(harness: ProviderHarness, case: str) -> None:
    status, body, expected = REFUSALS[case]
    error, _ = await harness.failure(responding(body, status=status))

    assert isinstance(error, expected), error
