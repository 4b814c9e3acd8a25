"""Models without tools: their servers refuse a request that offers some; the same is asked once more without."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import cast

from bot.errors import ToolsRefused
from bot.observability import get_logger
from bot.providers.base import ModelRequest
from bot.providers.system_role import ModelMemory
from bot.providers.tool_messages import as_text
from bot.stream_events import StreamEvent

log = get_logger(__name__)

Ask = Callable[[ModelRequest], AsyncIterator[StreamEvent]]


async def stream_offering_tools(
    ask: Ask, request: ModelRequest, refusing: ModelMemory
) -> AsyncIterator[StreamEvent]:
    """The answer, by a second request if the model has no tools. `refusing`: models known to have none."""
    if request.tools and request.model not in refusing:
        try:
            async with _closing(ask(request)) as events:
                async for event in events:
                    yield event
            return
        except ToolsRefused:
            log.info("tools_refused", model=str(request.model))
            await refusing.add(request.model)
    async with _closing(ask(as_text(request))) as events:
        async for event in events:
            yield event


def _closing(events: AsyncIterator[StreamEvent]) -> aclosing[AsyncGenerator[StreamEvent, None]]:
    return aclosing(cast("AsyncGenerator[StreamEvent, None]", events))
