"""What calls cost whose provider did not tell: tokens that it did not count as much as the same model has cost the same
user lately, all else what the provider's list says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.usage.calls import Call
from storage.tables import usage_days

_PRICE_AGE = timedelta(days=30)
"""How long a model's cost is used to estimate that of its next tokens."""


async def with_price(connection: AsyncConnection, call: Call, now: datetime) -> Call:
    """The call with what it will have cost, as far as that is known.

    Days with tokens whose cost was not told say nothing of the price.
    """
    if not call.estimated_tokens:
        return replace(call, estimated_cost=call.listed_cost)
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
        return replace(call, estimated_cost=call.listed_cost)
    return replace(call, estimated_cost=call.estimated_tokens * float(cost) / float(counted))
