"""Web searches by providers themselves: how they are requested and reported, and what happens if a model refuses.

A refusal costs one more request without the search; a denied step then says that the answer lacks it. The fields that
request a search from each provider are in `bot.providers.dialects`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from bot.domain.steps import StepKind, StepStatus
from bot.domain.stream_events import (
    ReasoningDelta,
    Sources,
    StepChanged,
    StreamEvent,
    TextDelta,
)
from bot.errors import ProviderError, ToolsRefused
from bot.providers.base import ModelRequest, ProviderKind
from bot.providers.dialects import can_search
from bot.providers.refusals.parts import Ask, ModelMemory, Part, closing, names

_NAME = "web search"
_DENIED = StepChanged(_NAME, StepKind.SEARCH, StepStatus.DENIED)
_WORDS = re.compile(r"(?<![a-z])search|plugin|\bweb\b", re.IGNORECASE)
"""In a refusal, these words refer to the search."""
_SEARCHES_FIRST = frozenset[ProviderKind]({"venice"})
"""Providers that search for every request that asks for it, before the model begins; others let the model decide."""


def web_search(refusing: ModelMemory) -> Part:
    """The search as a part of a request. `refusing`: models that are known to refuse it."""
    return Part(_NAME, _without, refusing, _is_meant, _DENIED)


def _without(request: ModelRequest) -> ModelRequest:
    if not request.options.web_search:
        return request
    return replace(request, options=replace(request.options, web_search=False))


def _is_meant(error: ProviderError, request: ModelRequest) -> bool:
    """Whether the refusal is about the search. OpenRouter's search is a tool: if it is refused along with other tools,
    it is meant only if it is also refused without them.
    """
    if isinstance(error, ToolsRefused):
        return not request.tools
    return names(_WORDS, error, request)


def stream_searching(
    ask: Ask, request: ModelRequest, kind: ProviderKind
) -> AsyncIterator[StreamEvent]:
    """The answer, with a step for the search if the provider is asked to search."""
    searches = request.options.web_search and can_search(kind)
    return _with_search_step(ask(request), kind) if searches else ask(request)


async def _with_search_step(
    events: AsyncIterator[StreamEvent], kind: ProviderKind
) -> AsyncGenerator[StreamEvent, None]:
    """The same events with a step for the search: known in advance if it comes first, else recognised by its
    sources.
    """
    running = kind in _SEARCHES_FIRST
    if running:
        yield StepChanged(_NAME, StepKind.SEARCH, StepStatus.RUNNING)
    announced = False
    async with closing(events) as stream:
        async for event in stream:
            if not announced and isinstance(
                event, (TextDelta, ReasoningDelta, Sources) if running else Sources
            ):
                announced = True
                yield StepChanged(_NAME, StepKind.SEARCH, StepStatus.DONE)
            yield event
