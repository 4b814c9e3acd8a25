"""Searching the web, which some providers do themselves: how they are asked, what they tell, what if they refuse.

A refusal costs one more request, without the search; that the answer is without it is told as a step that was denied.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from bot.providers.base import ModelRequest, ProviderKind
from bot.providers.dialects import can_search
from bot.providers.refusals import Ask, ModelMemory, closing, stream_or_tell
from bot.steps import StepKind, StepStatus
from bot.stream_events import (
    ReasoningDelta,
    Sources,
    StepChanged,
    StreamEvent,
    TextDelta,
)

_KEY = "web search"
_SEARCHES_FIRST = frozenset[ProviderKind]({"venice"})
"""Providers that search for every request that asks for it, before the model begins; others let the model decide."""


def stream_searching(
    ask: Ask, request: ModelRequest, kind: ProviderKind, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the first was refused with the search and is not without it.

    `refusing`: models that are known to refuse.
    """
    if not (request.options.web_search and can_search(kind)):
        return ask(request)

    def searching(asked: ModelRequest) -> AsyncIterator[StreamEvent]:
        return _told(ask(asked), kind) if asked.options.web_search else ask(asked)

    without = replace(request, options=replace(request.options, web_search=False))
    denied = StepChanged(_KEY, StepKind.SEARCH, StepStatus.DENIED)
    return stream_or_tell(searching, request, without, refusing, denied)


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
