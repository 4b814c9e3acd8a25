"""Prices calls whose provider reported no cost: uncounted tokens as the same model has recently cost the same user, all
others by the provider's list.
"""

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
    """The call with its probable cost, if that is known.

    Days with tokens of unreported cost say nothing about the price.
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
