"""Speech is sent to `/audio/transcriptions` as a form, and what comes back is words or an error: over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.domain import ModelRef, Usage
from bot.errors import (
    InvalidResponse,
    ModelTimeout,
    ProviderError,
    ProviderServerError,
)
from bot.providers.base import ProviderSettings
from bot.providers.transcription import Transcriber, Transcription, VoiceClip
from bot.providers.transport import create_client
from tests.providers.harness import KEY
from tests.providers.scripted_server import Behaviour, ScriptedServer, responding

CLIP = VoiceClip("audio/mp4", bytes(range(256)) * 1_000)


async def transcribed(url: str, seconds: float = 20.0) -> Transcription:
    async with create_client() as client:
        settings = ProviderSettings("any", "Any", url, api_key=KEY)
        return await Transcriber(client, settings, ModelRef("any", "whisper"), seconds).transcribe(
            CLIP
        )


@pytest.mark.parametrize(
    ("tokens", "used"), [(7, Usage(7, 3)), (2**40, None)], ids=["counted", "more than there can be"]
)
async def test_a_clip_is_sent_as_a_form_with_the_key_and_a_name_of_its_format(
    tokens: int, used: Usage | None
) -> None:
    usage = {"type": "tokens", "input_tokens": tokens, "output_tokens": 3}
    async with ScriptedServer(responding({"text": " Hello. ", "usage": usage})).running() as server:
        assert await transcribed(server.url) == Transcription("Hello.", used)
    (received,) = server.received
    assert (received.path, received.headers["authorization"]) == (
        "/audio/transcriptions",
        f"Bearer {KEY}",
    )
    assert received.headers["content-type"].startswith("multipart/form-data")
    assert "transfer-encoding" not in received.headers
    for part in (b'name="model"', b"whisper", b'filename="clip.m4a"', CLIP.data):
        assert part in received.body


ANSWERS: dict[str, tuple[Behaviour, type[ProviderError]]] = {
    "no text": (responding({"words": []}), InvalidResponse),
    "nested too deeply": (responding('{"text": ' + "[" * 100_000), InvalidResponse),
    "a page": (responding("<html>"), InvalidResponse),
    "a failure": (responding({"error": {"message": "down"}}, 503), ProviderServerError),
}


@pytest.mark.parametrize(("behaviour", "error"), ANSWERS.values(), ids=ANSWERS)
async def test_a_response_that_is_not_a_transcript_is_an_error(
    behaviour: Any, error: type[ProviderError]
) -> None:
    async with ScriptedServer(behaviour).running() as server:
        with pytest.raises(error):
            await transcribed(server.url)


async def test_silence_is_an_error() -> None:
    async def silent(received: Any, out: Any) -> None:
        await asyncio.Event().wait()

    async with ScriptedServer(silent).running() as server:
        with pytest.raises(ModelTimeout):
            await transcribed(server.url, 0.1)
