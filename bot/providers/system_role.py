"""Models without a system role: their servers refuse a system message; the instruction goes before the first turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol, cast

from bot.domain import (
    ModelRef,
)
from bot.errors import SystemRoleRefused
from bot.observability import get_logger
from bot.providers.base import ModelRequest, Provider
from bot.stream_events import (
    StreamEvent,
)

log = get_logger(__name__)


class ModelMemory(Protocol):
    """A set of models that outlives the process; implemented by `storage.models_without_system_role`."""

    def __contains__(self, model: ModelRef) -> bool: ...

    async def add(self, model: ModelRef) -> None:
        """Adds a model. Never raises: what could not be stored is remembered until the process ends."""
        ...


class ProcessMemory:
    """A `ModelMemory` that ends with the process."""

    def __init__(self) -> None:
        self._models: set[ModelRef] = set()

    def __contains__(self, model: ModelRef) -> bool:
        return model in self._models

    async def add(self, model: ModelRef) -> None:
        self._models.add(model)


def without_system_role(request: ModelRequest) -> ModelRequest:
    """The same request with the system prompt at the beginning of its first message."""
    if not (request.system and request.messages):
        return request
    first, *rest = request.messages
    text = "\n\n".join(text for text in (request.system, first.text) if text)
    return replace(request, system="", messages=[replace(first, text=text), *rest])


async def stream_adapted(
    provider: Provider, request: ModelRequest, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the server refuses the system role. `refusing`: models known to do so."""
    if request.model not in refusing:
        try:
            async with _stream(provider, request) as events:
                async for event in events:
                    yield event
                return
        except SystemRoleRefused:
            if not request.system:
                raise
        log.info("system_role_refused", model=str(request.model))
        await refusing.add(request.model)
    async with _stream(provider, without_system_role(request)) as events:
        async for event in events:
            yield event


def _stream(
    provider: Provider, request: ModelRequest
) -> aclosing[AsyncGenerator[StreamEvent, None]]:
    """The provider's answer, which ends at once when its reader does."""
    return aclosing(cast("AsyncGenerator[StreamEvent, None]", provider.stream(request)))
