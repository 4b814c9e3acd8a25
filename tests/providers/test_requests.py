"""What a model server is sent: messages, images, credentials, options."""

from __future__ import annotations

import base64

from bot.domain import Image, ModelRef, Role
from bot.domain.stream_events import (
    Done,
    TextDelta,
)
from bot.providers.base import ChatMessage, ModelRequest, ProviderKind
from bot.providers.request_body import PIECE
from bot.runtime.memory import MemoryBudget
from tests.providers.attached import attached
from tests.providers.harness import KEY, ProviderHarness, read, request
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    delta,
    streaming,
)

ALRIGHT = streaming(delta("Hi"), DONE)


async def sent(
    harness: ProviderHarness, asked: ModelRequest, kind: ProviderKind = "openai"
) -> ReceivedRequest:
    """The request that the server receives for this."""
    async with ScriptedServer(ALRIGHT).running() as server:
        await read(harness.provider(server.url, kind), asked)
        (received,) = server.received
        return received


async def test_request_has_the_system_prompt_first_and_messages_in_order(
    harness: ProviderHarness,
) -> None:
    turns = [
        ChatMessage(Role.USER, "one"),
        ChatMessage(Role.ASSISTANT, "two"),
        ChatMessage(Role.USER, "three"),
    ]
    received = await sent(harness, ModelRequest(ModelRef("any", "a/b:free"), "Be brief.", turns))
    assert (received.method, received.path) == ("POST", "/chat/completions")
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.body == {
        "model": "a/b:free",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ],
    }


async def test_credentials_in_the_url_become_a_header(
    harness: ProviderHarness,
) -> None:
    """As a server behind an authenticating proxy needs them."""
    async with ScriptedServer(ALRIGHT).running() as server:
        address = server.url.replace("http://", "http://ann:secret@")
        assert await read(harness.provider(address)) == [TextDelta("Hi"), Done()]
    assert (
        server.received[0].headers["authorization"]
        == "Basic " + base64.b64encode(b"ann:secret").decode()
    )


async def test_images_are_sent_as_data_urls(harness: ProviderHarness) -> None:
    """They are read piece by piece, and the pieces join correctly, whatever their sizes."""
    given = [b"\x89PNG...", bytes(range(256)) * 4_000, b"x" * PIECE * 2]
    images, stored = attached([Image(f"{len(one)}.png", "image/png", one) for one in given])
    turn = ChatMessage(Role.USER, "What is it?", images)
    memory = MemoryBudget()
    with memory.reserve() as reservation:
        asked = ModelRequest(ModelRef("any", "m"), "", [turn], read=stored, reservation=reservation)
        received = await sent(harness, asked)
        assert memory.used == 0
    urls = ["data:image/png;base64," + base64.b64encode(one).decode() for one in given]
    parts = [
        {"type": "text", "text": "What is it?"},
        *({"type": "image_url", "image_url": {"url": url}} for url in urls),
    ]
    assert received.body["messages"] == [{"role": "user", "content": parts}]


async def test_openrouter_request_identifies_the_app_and_asks_for_costs(
    harness: ProviderHarness,
) -> None:
    received = await sent(harness, request(), "openrouter")
    assert received.headers["x-title"] == "Bobbin"
    assert received.headers["http-referer"].startswith("https://")
    assert received.body["usage"] == {"include": True}


async def test_rejected_optional_field_is_left_out_from_then_on(
    harness: ProviderHarness,
) -> None:
    async def strict(received: ReceivedRequest, out: ResponseWriter) -> None:
        if "stream_options" in received.body:
            await out.answer(
                b'{"error": {"message": "unknown field stream_options"}}', 400, "application/json"
            )
        elif "max_tokens" in received.body:
            await out.answer(
                b'{"error": {"message": "use max_completion_tokens"}}', 400, "application/json"
            )
        else:
            await ALRIGHT(received, out)

    async with ScriptedServer(strict).running() as server:
        provider = harness.provider(server.url)
        for _ in range(2):
            assert await read(provider, request(max_tokens=50)) == [TextDelta("Hi"), Done()]
        assert len(server.received) == 4
        assert server.received[-1].body["max_completion_tokens"] == 50


async def test_large_request_body_arrives_whole_with_its_length(
    harness: ProviderHarness,
) -> None:
    text = "".join(chr(0x1F600 + n % 64) for n in range(1_500_000))
    async with ScriptedServer(
        streaming(delta("Hi"), delta(finish="stop"), DONE)
    ).running() as server:
        await read(harness.provider(server.url), request(text))
        (received,) = server.received
        assert received.body["messages"][-1]["content"] == text
        assert "transfer-encoding" not in received.headers
        assert int(received.headers["content-length"]) > 5_000_000
