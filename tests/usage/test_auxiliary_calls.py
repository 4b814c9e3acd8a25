"""A call for a title or a summary is completed in the ledger, however it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from bot.chats.auxiliary_calls import AuxiliaryCalls
from bot.domain import ModelRef, Price
from bot.domain.stream_events import Done, StreamEvent, TextDelta
from bot.errors import InvalidResponse, StorageError
from bot.observability import Metrics
from bot.providers.base import ModelRequest
from bot.usage.calls import CallKind, Payer
from storage.engine.database import Database
from storage.ledger import Ledger
from storage.tables import ledger, usage_days


class Failing:
    """Models whose answers end with an error, some after a word."""

    def __init__(self, error: Exception | None, word: str) -> None:
        self._error = error
        self._word = word

    async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
        if self._word:
            yield TextDelta(self._word)
        if self._error is not None:
            raise self._error
        yield Done("stop")


@pytest.mark.parametrize(
    ("error", "word", "outcome", "estimated"),
    [
        (None, "A title", "done", True),
        (InvalidResponse("odd"), "A word", "failed", True),
        (InvalidResponse("odd"), "", "failed", False),
        (StorageError("a picture could not be read"), "", "failed", False),
    ],
)
async def test_a_side_call_is_completed_however_it_ends(
    database: Database, error: Exception | None, word: str, outcome: str, estimated: bool
) -> None:
    calls = AuxiliaryCalls(Failing(error, word), Ledger(database), Metrics())
    request = ModelRequest(ModelRef("openai", "gpt"), "Find a title.", ())
    raised: Exception | None = None
    try:
        await calls.text(request, CallKind.TITLE, Payer("T1", "U1", "C1", "chat"))
    except (InvalidResponse, StorageError) as failure:
        raised = failure
    assert raised is error
    async with database.read() as connection:
        (row,) = (await connection.execute(select(ledger))).all()
    assert (row.outcome, bool(row.estimated_tokens)) == (outcome, estimated)


async def test_a_side_call_under_way_counts_by_the_listed_price(database: Database) -> None:
    """What it would cost if its process died, and what it did cost afterwards."""
    noted: list[Any] = []
    query = select(ledger.c.estimated_tokens, ledger.c.estimated_cost)
    costs = select(usage_days.c.estimated_cost)

    class Looking(Failing):
        async def stream(self, request: ModelRequest) -> AsyncIterator[StreamEvent]:
            async with database.read() as connection:
                noted.append((await connection.execute(query)).one())
            async for event in super().stream(request):
                yield event

    def price_of(model: ModelRef) -> Price:
        return Price(prompt=0.5, completion=2.0)

    calls = AuxiliaryCalls(Looking(None, "A title"), Ledger(database), Metrics(), price_of)
    request = ModelRequest(ModelRef("openai", "gpt"), "Find a title.", ())
    await calls.text(request, CallKind.TITLE, Payer("T1", "U1", "C1", "chat"))
    ((tokens, cost),) = noted
    assert cost == tokens * 0.5 > 0
    async with database.read() as connection:
        ended = (await connection.execute(query)).one()
        assert ended.estimated_cost == cost + 2.0 * (ended.estimated_tokens - tokens)
        assert (await connection.scalars(costs)).all() == [ended.estimated_cost]
