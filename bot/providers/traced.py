"""A span around each model call, by OpenTelemetry's conventions for generative AI: names and numbers, no text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from bot.domain import Usage
from bot.domain.stream_events import (
    Done,
    StreamEvent,
)
from bot.errors import ProviderError
from bot.providers.base import ModelRequest
from bot.tracing import Span, SpanKind, fail, start_span


async def traced(
    request: ModelRequest, events: AsyncIterator[StreamEvent]
) -> AsyncGenerator[StreamEvent, None]:
    """The same events, in a span by the conventions for generative AI; closing this closes the source."""
    call = start_span(
        f"chat {request.model.name}",
        SpanKind.CLIENT,
        attributes={
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": request.model.provider,
            "gen_ai.request.model": request.model.name,
        },
    )
    try:
        async for event in events:
            _note(call, event)
            yield event
    except ProviderError as error:
        fail(call, error)
        raise
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
        call.end()


def _note(call: Span, event: StreamEvent) -> None:
    if isinstance(event, Usage):
        call.set_attribute("gen_ai.usage.input_tokens", event.prompt_tokens)
        call.set_attribute("gen_ai.usage.output_tokens", event.completion_tokens)
    elif isinstance(event, Done):
        call.set_attribute("gen_ai.response.finish_reasons", [event.reason])
