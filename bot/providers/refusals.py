"""What some models refuse is learnt: the same is asked once more without it, and from then on only so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Protocol, cast

from bot.domain import ModelRef
from bot.errors import ModelGone, ProviderError, RequestRefused
from bot.observability import get_logger
from bot.providers.base import ModelRequest
from bot.stream_events import StepChanged, StreamEvent

log = get_logger(__name__)

_REFUSALS = (RequestRefused, ModelGone)
"""How servers refuse an option. OpenRouter has no endpoint with it for some models, and says so with HTTP 404."""

Ask = Callable[[ModelRequest], AsyncIterator[StreamEvent]]


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


async def stream_or_without(
    ask: Ask,
    request: ModelRequest,
    without: ModelRequest,
    refusal: type[ProviderError] | tuple[type[ProviderError], ...],
    refusing: ModelMemory,
) -> AsyncIterator[StreamEvent]:
    """The answer to `request`, or to `without` if the model refuses it. `refusing`: models that are known to.

    The same request twice: there is nothing to refuse.
    """
    if without is not request and request.model not in refusing:
        try:
            async with closing(ask(request)) as events:
                async for event in events:
                    yield event
            return
        except refusal as error:
            log.info("asked_again", model=str(request.model), reason=type(error).__name__)
            await refusing.add(request.model)
    async with closing(ask(without)) as events:
        async for event in events:
            yield event


async def stream_or_tell(
    ask: Ask,
    request: ModelRequest,
    without: ModelRequest,
    refusing: ModelMemory,
    told: StepChanged,
) -> AsyncGenerator[StreamEvent, None]:
    """The answer to `request`, or to `without` and the step `told` before it, if the model refuses the former.

    What it refuses is not always said: the option is learnt to be refused when the answer without it begins.
    """
    refused = False
    if request.model not in refusing:
        try:
            async with closing(ask(request)) as events:
                async for event in events:
                    yield event
            return
        except _REFUSALS:
            refused = True
    async with closing(ask(without)) as events:
        is_told = False
        async for event in events:
            if not is_told:
                is_told = True
                if refused:
                    log.info("asked_again", model=str(request.model), reason=told.key)
                    await refusing.add(request.model)
                yield told
            yield event


def closing(events: AsyncIterator[StreamEvent]) -> aclosing[AsyncGenerator[StreamEvent, None]]:
    """A provider's answer, which ends at once when its reader does."""
    return aclosing(cast("AsyncGenerator[StreamEvent, None]", events))
