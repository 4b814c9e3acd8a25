"""All configured providers, their one HTTP client and their catalogue."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from bot.domain import ModelRef
from bot.domain.stream_events import (
    StreamEvent,
)
from bot.errors import ModelGone, ModelNotAllowed, ModelTimeout, ProviderError
from bot.network import DIRECT, Network
from bot.providers.base import ModelRequest, ProviderSettings
from bot.providers.catalogue import Catalogue
from bot.providers.dialects import can_search
from bot.providers.ollama import Ollama
from bot.providers.openai_compatible import OpenAICompatible
from bot.providers.refusals.effort import Efforts
from bot.providers.refusals.parts import ModelMemory, Part, ProcessMemory, stream_without_refused
from bot.providers.refusals.pdf_files import pdf_files
from bot.providers.refusals.system_role import system_role
from bot.providers.refusals.without_tools import single_tools, tools, unsigned_calls
from bot.providers.tool_messages import as_text
from bot.providers.traced import traced
from bot.providers.transcription import Transcriber
from bot.providers.transport import create_client
from bot.providers.web_search import stream_searching, web_search
from bot.timing import Timing


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """The outcome of checking one provider."""

    name: str
    label: str
    ok: bool
    text: str
    """One line: how many models it offers, or how to fix the failure."""
    optional: bool = False
    """Whether the operator did not configure it, so that its absence is not a fault."""


class Providers:
    """All providers, with their catalogue. Created by `open`; an async context manager that closes them."""

    def __init__(
        self,
        providers: Sequence[OpenAICompatible],
        catalogue: Catalogue,
        stack: AsyncExitStack,
        without_system_role: ModelMemory,
        client: httpx.AsyncClient,
    ) -> None:
        self._client = client
        self._providers = {provider.name: provider for provider in providers}
        self._stack = stack
        self._without_system_role = without_system_role
        self._without_tools = ProcessMemory()
        self._without_tool: dict[tuple[str, int], ProcessMemory] = defaultdict(ProcessMemory)
        """By the tool's path and the size of its definition."""
        self._without_search = ProcessMemory()
        self._without_pdfs = ProcessMemory()
        self._efforts = Efforts()
        self.catalogue = catalogue

    @classmethod
    async def open(
        cls,
        settings: Sequence[ProviderSettings],
        *,
        timeout: float = 60.0,  # noqa: ASYNC109 - seconds a model may be silent, not a limit of this call
        allowed: Sequence[str] = (),
        max_age: float = 300.0,
        without_system_role: ModelMemory | None = None,
        timing: Timing = Timing(),
        network: Network = DIRECT,
    ) -> Self:
        """Opens all providers, in menu order. One that cannot be reached is not an error.

        `timeout`: seconds of silence after which an answer fails. `allowed`: glob patterns of models. `max_age`:
        seconds for which a list of models is kept. `without_system_role`: models that are known to have none.
        """
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(create_client(network))
            providers = [
                create_provider(client, one, timeout=timeout, timing=timing) for one in settings
            ]
            catalogue = await stack.enter_async_context(
                Catalogue(providers, allowed=allowed, max_age=max_age, timing=timing)
            )
            memory = ProcessMemory() if without_system_role is None else without_system_role
            return cls(providers, catalogue, stack.pop_all(), memory, client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops refreshing lists, and closes every connection."""
        await self._stack.aclose()

    def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        """The answer of the request's model. Raises ProviderError; see `Provider.stream`.

        Every model call passes through here, so this is where models that are not, or no longer, allowed are refused.
        """
        provider = self._providers.get(request.model.provider)
        if provider is None or not self.catalogue.allows(request.model):
            return _not_served(request)

        def searching(asked: ModelRequest) -> AsyncIterator[StreamEvent]:
            return stream_searching(provider.stream, asked, provider.kind)

        sent = request if request.tools else as_text(request)
        parts = self._parts(request, provider)
        return traced(request, stream_without_refused(searching, sent, parts))

    def _parts(self, request: ModelRequest, provider: OpenAICompatible) -> Sequence[Part]:
        """The parts of a request that models may refuse; the least important first."""
        search = [web_search(self._without_search)] if can_search(provider.kind) else []
        return [
            system_role(self._without_system_role),
            *single_tools(request, lambda tool: self._without_tool[tool.path, tool.size]),
            unsigned_calls(),
            tools(self._without_tools),
            *self._efforts.parts(request),
            *search,
            pdf_files(self._without_pdfs),
        ]

    def transcriber(self, name: str, seconds: float) -> Transcriber:
        """The transcription model named by a setting. Raises ModelNotAllowed if no provider has it.

        `name`: as `provider:model`, or just the model if there is one provider. `seconds`: for one clip.
        """
        first, _, rest = name.partition(":")
        provider = self._providers.get(first) if rest else None
        if provider is None and len(self._providers) == 1:
            (provider,), rest = self._providers.values(), name
        if provider is None:
            raise ModelNotAllowed(name)
        model = ModelRef(provider.name, rest)
        return Transcriber(self._client, provider.settings, model, seconds)

    async def lists(self, model: ModelRef) -> bool:
        """Whether its provider's list has this model, of any kind. Raises ProviderError."""
        return model.name in await self._providers[model.provider].listed_names()

    async def ping(self) -> list[ProviderHealth]:
        """Checks all providers concurrently. The failure of one, expected or not, does not affect the others."""
        return list(await asyncio.gather(*map(_health, self._providers.values())))


def create_provider(
    client: httpx.AsyncClient,
    settings: ProviderSettings,
    *,
    timeout: float = 60.0,
    timing: Timing = Timing(),
) -> OpenAICompatible:
    """The implementation for this kind of provider."""
    kind = Ollama if settings.kind == "ollama" else OpenAICompatible
    return kind(client, settings, timeout=timeout, timing=timing)


async def is_available(settings: ProviderSettings, network: Network = DIRECT) -> bool:
    """Whether a server with at least one model responds there. Takes about a second at most."""
    async with create_client(network) as client:
        return (await _health(create_provider(client, settings))).ok


async def _not_served(request: ModelRequest) -> AsyncIterator[StreamEvent]:
    raise ModelGone
    yield


_PING_TIMEOUT = 45.0
"""Seconds for the whole check of one provider."""
_ADVICE = {
    "key_rejected": "the key is rejected: set a valid one",
    "no_access": "the key may not list the models: give it the permission, or set another one",
    "region": "does not serve this region: run the bot elsewhere, or through a proxy",
    "blocked": "a proxy or a firewall in between refuses the request: allow the address there",
    "daily_limit": "a limit for a day or longer is reached: raise it, or wait until it resets",
    "no_credit": "the account has no credit left: top it up",
    "unreachable": "cannot be reached: check the address and the network",
    "timeout": "does not answer: try again later",
    "busy": "is too busy: try again later",
    "wrong_address": "has no list of models there: check the base URL",
    "garbled": "answers with something else than models: check the base URL",
}


async def _health(provider: OpenAICompatible) -> ProviderHealth:
    try:
        async with asyncio.timeout(_PING_TIMEOUT):
            count = await provider.ping()
    except (ProviderError, TimeoutError) as raised:
        error = raised if isinstance(raised, ProviderError) else ModelTimeout()
        advice = _ADVICE.get(error.code, "refuses to list its models")
        text = f"{advice} ({error.detail})" if error.detail else advice
        return ProviderHealth(provider.name, provider.label, False, text, provider.optional)
    except Exception as error:  # unexpected; its message may contain the key
        text = f"could not be checked ({type(error).__name__})"
        return ProviderHealth(provider.name, provider.label, False, text, provider.optional)
    text = f"{count} models" if count else "offers no model: add one there"
    return ProviderHealth(provider.name, provider.label, count > 0, text, provider.optional)
