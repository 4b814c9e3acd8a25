"""Writes model calls to the ledger and its daily sums, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.usage.calls import Call, CallKind, CallOutcome, Payer
from bot.usage.limits import Budget, Limits
from storage.engine.types import utc_now
from storage.statements.prices import with_price
from storage.statements.queries import dialect_insert
from storage.statements.spending import ANSWERED, settle, spent_in
from storage.tables import answers, ledger, usage_days

SUMS = (
    "answers",
    "failures",
    "calls",
    "untold",
    "unpriced",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost",
    "estimated_tokens",
    "estimated_cost",
)
"""The columns of `usage_days` that are sums."""


async def record(
    connection: AsyncConnection,
    limits: Limits,
    payer: Payer,
    calls: Sequence[Call],
    admitted_at: datetime | None = None,
) -> list[Budget]:
    """Adds calls, except those already there; returns the budgets that are nearly used up.

    `payer`: as currently stored, since they may have been erased after the calls began. `admitted_at`: see
    `storage.statements.spending.settle`.
    """
    now = utc_now()
    unknown = [replace(call, payer=payer) for call in await _unknown(connection, calls)]
    new = [await with_price(connection, call, now) for call in unknown]
    spent = spent_in(new)
    near = await settle(connection, limits, payer, spent, now, admitted_at=admitted_at)
    await add_calls(connection, new, now)
    return near


async def payer_now(connection: AsyncConnection, call: Call) -> Payer:
    """The current payer of a call: nobody in particular if the asker of its answer has been erased.

    Nobody is removed from the answer until the transaction has ended.
    """
    if call.answer_id is None:
        return call.payer
    asker = select(answers.c.asker).where(answers.c.message_id == call.answer_id)
    held = asker.with_for_update(key_share=True)
    row = (await connection.execute(held)).one_or_none()
    if row is None:
        return replace(call.payer, user=None, chat_id="")
    return replace(call.payer, user=row.asker)


async def _unknown(connection: AsyncConnection, calls: Sequence[Call]) -> list[Call]:
    """Calls that an earlier transaction, whose outcome is unknown, has not added."""
    ids = select(ledger.c.id).where(ledger.c.id.in_([call.id for call in calls]))
    known = set(await connection.scalars(ids)) if calls else set()
    return [call for call in calls if call.id not in known]


async def add_calls(
    connection: AsyncConnection, calls: Sequence[Call], now: datetime | None = None
) -> None:
    """Adds calls that are not in the ledger yet."""
    now = now or utc_now()
    for call in calls:
        await connection.execute(insert(ledger), ledger_row(call, now))
        await _add_to_day(connection, call, now, _sums(call))


_IS_ASKED = and_(ledger.c.id == bindparam("call"), ledger.c.outcome == CallOutcome.ASKED)


async def complete(connection: AsyncConnection, limits: Limits, call: Call) -> None:
    """Records how a call ended that was added as asked, replacing its estimate; once."""
    held = select(ledger).where(_IS_ASKED).with_for_update()
    row = (await connection.execute(held, {"call": call.id})).one_or_none()
    if row is None:
        return
    # A person erased meanwhile is not written again; nobody is erased until this row is written.
    call = replace(call, payer=Payer(row.team, row.user, row.channel, row.chat_id or ""))
    asked = Call(call.id, call.payer, call.kind, call.model)
    asked = replace(asked, estimated_tokens=row.estimated_tokens, estimated_cost=row.estimated_cost)
    now = utc_now()
    ended = await with_price(connection, call, now)
    more = spent_in([ended]) - spent_in([asked])
    await settle(connection, limits, call.payer, more, row.at)
    values = {name: value for name, value in ledger_row(ended, now).items() if name != "at"}
    await connection.execute(update(ledger).where(_IS_ASKED).values(values), {"call": call.id})
    before = _sums(asked)
    sums = {name: value - before[name] for name, value in _sums(ended).items()}
    await _add_to_day(connection, call, row.at, sums)


def ledger_row(call: Call, at: datetime) -> dict[str, Any]:
    usage = call.usage
    return {
        "id": call.id,
        "at": at,
        "team": call.payer.team,
        "user": call.payer.user,
        "channel": call.payer.channel,
        "chat_id": call.payer.chat_id or None,
        "answer_id": call.answer_id,
        "kind": call.kind,
        "provider": call.model.provider,
        "model": call.model.name,
        "outcome": call.outcome,
        "error": call.error,
        "prompt_tokens": usage and usage.prompt_tokens,
        "completion_tokens": usage and usage.completion_tokens,
        "cached_tokens": usage and usage.cached_tokens,
        "cost": usage and usage.cost,
        "estimated_tokens": call.estimated_tokens,
        "estimated_cost": call.estimated_cost,
        "seconds": call.seconds,
    }


def _sums(call: Call) -> dict[str, Any]:
    """What a call adds to its day."""
    usage, is_answer = call.usage, call.kind is CallKind.ANSWER
    return {
        "answers": int(is_answer and call.outcome in ANSWERED),
        "failures": int(is_answer and call.outcome is CallOutcome.FAILED),
        "calls": 1,
        "untold": int(usage is None),
        "unpriced": int(usage is None or usage.cost is None),
        "prompt_tokens": usage.prompt_tokens if usage else 0,
        "completion_tokens": usage.completion_tokens if usage else 0,
        "cached_tokens": usage.cached_tokens if usage else 0,
        "cost": (usage.cost if usage else None) or 0.0,
        "estimated_tokens": call.estimated_tokens or 0,
        "estimated_cost": call.estimated_cost or 0.0,
    }


async def _add_to_day(
    connection: AsyncConnection, call: Call, at: datetime, sums: dict[str, Any]
) -> None:
    key = {
        "team": call.payer.team,
        "user": call.payer.user or "",
        "day": at.date().isoformat(),
        "channel": call.payer.channel or "",
        "model": str(call.model),
    }
    new = dialect_insert(connection, usage_days).values(key | sums)
    added = {name: usage_days.c[name] + new.excluded[name] for name in SUMS}
    await connection.execute(
        new.on_conflict_do_update(index_elements=[usage_days.c[name] for name in key], set_=added)
    )
