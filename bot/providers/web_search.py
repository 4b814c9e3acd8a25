"""Searching the web, which some providers do themselves: how they are asked, what they tell, what if they refuse.

A refusal costs one more request, without the search; that the answer is without it is told as a step that was denied.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from bot.errors import ModelGone, ProviderError, RequestRefused
from bot.observability import get_logger
from bot.providers.base import ModelRequest, ProviderKind
from bot.providers.dialects import can_search
from bot.providers.refusals import Ask, ModelMemory, closing
from bot.steps import StepKind, StepStatus
from bot.stream_events import (
    ReasoningDelta,
    Sources,
    StepChanged,
    StreamEvent,
    TextDelta,
)

log = get_logger(__name__)

_KEY = "web search"
_REFUSALS = (RequestRefused, ModelGone)
"""OpenRouter has no endpoint with tools for some models, and says so with HTTP 404."""
_SEARCHES_FIRST = frozenset[ProviderKind]({"venice"})
"""Providers that search for every request that asks for it, before the model begins; others let the model decide."""


def stream_searching(
    ask: Ask, request: ModelRequest, kind: ProviderKind, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the first was refused with the search and is not without it.

    `refusing`: models that are known to refuse.
    """
    wanted = request.search and can_search(kind)
    return _searching(ask, request, kind, refusing) if wanted else ask(request)


async def _searching(
    ask: Ask, request: ModelRequest, kind: ProviderKind, refusing: ModelMemory
) -> AsyncGenerator[StreamEvent, None]:
    refusal: ProviderError | None = None
    if request.model not in refusing:
        try:
            async with closing(_told(ask(request), kind)) as events:
                async for event in events:
                    yield event
            return
        except _REFUSALS as error:
            refusal = error
    async with closing(ask(replace(request, search=False))) as events:
        first = True
        async for event in events:
            if first:
                first = False
                if refusal is not None:
                    log.info("web_search_refused", model=str(request.model))
                    await refusing.add(request.model)
                yield StepChanged(_KEY, StepKind.SEARCH, StepStatus.DENIED)
            yield event


async def _told(
    events: AsyncIterator[StreamEvent], kind: ProviderKind
) -> AsyncGenerator[StreamEvent, None]:
    """The same events, with the step of searching: known where it comes first, else by the sources that come of it."""
    running = kind in _SEARCHES_FIRST
    if running:
        yield StepChanged(_KEY, StepKind.SEARCH, StepStatus.RUNNING)
    told = False
    async with closing(events) as stream:
        async for event in stream:
            if not told and isinstance(
                event, (TextDelta, ReasoningDelta, Sources) if running else Sources
            ):
                told = True
                yield StepChanged(_KEY, StepKind.SEARCH, StepStatus.DONE)
            yield event
