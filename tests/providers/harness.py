"""A provider connected to a scripted server, and the events or the error of one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from bot.domain import ModelRef, Role
from bot.domain.stream_events import (
    StreamEvent,
    TextDelta,
)
from bot.errors import ProviderError
from bot.providers.base import ChatMessage, ModelRequest, ProviderKind, ProviderSettings
from bot.providers.openai_compatible import OpenAICompatible
from bot.providers.registry import create_provider
from bot.providers.transport import create_client
from bot.timing import Timing
from tests.providers.scripted_server import Behaviour, ScriptedServer

KEY = "sk-verysecretkey-0123456789"


class ProviderHarness:
    """Makes providers. They fail after `silence` seconds without a byte, or `connecting` seconds to connect."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    def provider(
        self,
        url: str,
        kind: ProviderKind = "openai",
        silence: float = 20.0,
        connecting: float = 10.0,
        timing: Timing = Timing(),
        models: tuple[str, ...] = (),
    ) -> OpenAICompatible:
        settings = ProviderSettings(
            "any", "Any", url, api_key=KEY, default_model="m", models=models, kind=kind
        )
        return OpenAICompatible(
            self._client, settings, timeout=silence, connect_timeout=connecting, timing=timing
        )

    def ollama(self, url: str) -> OpenAICompatible:
        return create_provider(
            self._client, ProviderSettings("ollama", "Ollama", url, kind="ollama")
        )

    async def events(
        self, behaviour: Behaviour, silence: float = 20.0, timing: Timing = Timing()
    ) -> list[StreamEvent]:
        """All events of the answer."""
        async with ScriptedServer(behaviour).running() as server:
            return await read(self.provider(server.url, silence=silence, timing=timing))

    async def failure(
        self, behaviour: Behaviour, silence: float = 20.0
    ) -> tuple[ProviderError, str]:
        """The error that ends the answer, and the text before it."""
        text = ""
        async with ScriptedServer(behaviour).running() as server:
            try:
                async for event in self.provider(server.url, silence=silence).stream(request()):
                    text += event.text if isinstance(event, TextDelta) else ""
            except ProviderError as error:
                return error, text
        raise AssertionError(f"no failure, but {text!r}")


@asynccontextmanager
async def provider_harness() -> AsyncIterator[ProviderHarness]:
    async with create_client() as client:
        yield ProviderHarness(client)


async def read(provider: OpenAICompatible, asked: ModelRequest | None = None) -> list[StreamEvent]:
    return [event async for event in provider.stream(asked or request())]


def request(text: str = "Hello", max_tokens: int | None = None) -> ModelRequest:
    return ModelRequest(
        ModelRef("any", "m"), "Be brief.", [ChatMessage(Role.USER, text)], max_tokens
    )


def text_of(events: Sequence[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))
