"""What tokens cost that no provider has counted: as much as the same model has cost the same user lately."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.usage.calls import Call
from storage.tables import usage_days

_PRICE_AGE = timedelta(days=30)
"""For so long a model's cost tells what its next tokens will cost."""


async def with_price(connection: AsyncConnection, call: Call, now: datetime) -> Call:
    """The call with the cost of its estimated tokens, if the model has cost its user anything lately.

    Days with tokens whose cost was not told say nothing of the price.
    """
    if not call.estimated_tokens:
        return call
    days = usage_days.c
    lately = (
        days.team == call.payer.team,
        days.user == (call.payer.user or ""),
        days.day >= (now - _PRICE_AGE).date().isoformat(),
        days.model == str(call.model),
        days.cost > 0,
        days.unpriced == days.untold,
    )
    tokens = func.sum(days.prompt_tokens + days.completion_tokens)
    sums = select(func.sum(days.cost), tokens).where(*lately)
    cost, counted = (await connection.execute(sums)).one()
    if not counted:
        return call
    return replace(call, estimated_cost=call.estimated_tokens * float(cost) / float(counted))
