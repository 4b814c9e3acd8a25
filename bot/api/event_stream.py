"""A message and its answer as server-sent events.

`message`, `token`, `restart`, `approval`, and `done` or `failed` at the end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from bot import strings
from bot.api.answer_parts import ApprovalOut
from bot.api.auth import Authenticator
from bot.api.errors import ApiError, denied, error_body
from bot.api.responses import answered_body, exchange_body
from bot.api.waiting import AnswerWaiter
from bot.chats.api_service import ApiService, as_waiting
from bot.chats.feed_events import AccessRevoked, AnswerRestarted, TextAppended
from bot.errors import BobbinError

CONTENT_TYPE = "text/event-stream"


async def event_stream(
    *,
    api: ApiService,
    authenticator: Authenticator,
    token: str,
    waiting: AbstractAsyncContextManager[AnswerWaiter],
) -> AsyncGenerator[str, None]:
    """The events of one answer. They end early if the client may no longer subscribe."""
    async with (
        waiting as waiter,
        authenticator.enforcing(waiter.subscription, token, waiter.chat_id),
    ):
        try:
            exchange = await waiter.current()
            yield sse_event(
                "message",
                exchange_body(replace(exchange, answer=as_waiting(exchange.answer), result=None)),
            )
            async for event in waiter.events():
                if isinstance(event, TextAppended):
                    yield sse_event("token", {"token": event.text})
                elif isinstance(event, AnswerRestarted):
                    yield sse_event("restart", {})
                elif (call := await api.approvals.stored.get(event.call)) is not None:
                    yield sse_event("approval", ApprovalOut.of(call).model_dump(mode="json"))
            yield sse_event("done", await answered_body(api, waiter, await waiter.current()))
        except ApiError as error:
            yield sse_event("failed", error.body)
        except AccessRevoked as error:
            yield sse_event("failed", denied(error.denial).body)
        except BobbinError:
            yield sse_event("failed", error_body("Unavailable", strings.SAVE_FAILED))


async def with_keepalives(events: AsyncGenerator[str, None], interval: float) -> AsyncIterator[str]:
    """The same events, with a comment after each `interval` seconds without one: proxies cut idle connections."""
    next_event = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait([next_event], timeout=interval)
            if not done:
                yield ": still being written\n\n"
            elif (event := next_event.result()) is None:
                return
            else:
                yield event
                next_event = asyncio.ensure_future(anext(events, None))
    finally:
        next_event.cancel()
        await asyncio.gather(next_event, return_exceptions=True)
        await events.aclose()


def sse_event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
