"""What is used of each limit: admits messages, and adds what their answers used, inside the caller's transaction.

A row of `spending` counts one limit of one user, channel or workspace in one period. It is created from the ledger when
it is first needed. Admitting is one conditional UPDATE of it: concurrent transactions, in all replicas, wait for each
other there. Until an admitted message's answer has ended, the row holds as much for it as an answer has used on
average, so that many messages at once can't all pass before any has been counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import NearBudget
from bot.usage.calls import Call, CallKind, CallOutcome, Payer
from bot.usage.limits import (
    NEAR_SHARE,
    Budget,
    BudgetReached,
    Limit,
    Limits,
    MessageRate,
    Period,
    Scope,
    Unit,
)
from storage.engine.types import utc_now
from storage.statements.queries import dialect_insert
from storage.tables import ledger, spending, usage_days

_FIRST_ANSWER = {Unit.TOKENS: 1_000.0, Unit.USD: 0.01}
"""What an answer is expected to use as long as none has been counted in the period."""
_KEPT = timedelta(days=40)
"""Rows whose period began longer ago than this are no longer needed."""
ANSWERED = (CallOutcome.DONE, CallOutcome.CUT, CallOutcome.STOPPED)
"""Outcomes of calls that produced an answer."""
_SUBJECT_COLUMNS = {Scope.USER: "user", Scope.CHANNEL: "channel"}

_USED: Mapping[Unit, ColumnElement[float]] = {
    Unit.TOKENS: cast(spending.c.tokens, Float),
    Unit.USD: spending.c.cost,
}
_THIS = and_(
    spending.c.team == bindparam("a_team"),
    spending.c.scope == bindparam("a_scope"),
    spending.c.subject == bindparam("a_subject"),
    spending.c.period == bindparam("a_period"),
    spending.c.begins == bindparam("a_begins"),
)
_SELECT = select(spending).where(_THIS)


def _with_held(unit: Unit) -> ColumnElement[float]:
    """What is used, including what is held for answers in progress."""
    used = _USED[unit]
    each = case((spending.c.answers > 0, used / spending.c.answers), else_=_FIRST_ANSWER[unit])
    return used + spending.c.held * each


_ADMIT_BUDGET = {
    unit: update(spending)
    .where(_THIS, _with_held(unit) < bindparam("amount", type_=Float))
    .values(held=spending.c.held + 1)
    for unit in Unit
}
_ADMIT_RATE = (
    update(spending)
    .where(_THIS, spending.c.messages < bindparam("count", type_=Integer))
    .values(messages=spending.c.messages + 1)
)
_ADD = (
    update(spending)
    .where(_THIS)
    .values(
        tokens=spending.c.tokens + bindparam("more_tokens"),
        cost=spending.c.cost + bindparam("more_cost", type_=Float),
        answers=spending.c.answers + bindparam("more_answers"),
        held=case(
            (spending.c.held > bindparam("fewer_held"), spending.c.held - bindparam("fewer_held")),
            else_=0,
        ),
    )
    .returning(spending.c.tokens, spending.c.cost, spending.c.warned)
)
_MARK_WARNED = update(spending).where(_THIS).values(warned=true())


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls add up to, including estimates for what providers did not report."""

    tokens: int
    cost: float
    answers: int

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            self.tokens - other.tokens, self.cost - other.cost, self.answers - other.answers
        )


def spent_in(calls: Sequence[Call]) -> Spent:
    used = [call.usage for call in calls if call.usage is not None]
    tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in used)
    cost = sum(usage.cost or 0.0 for usage in used)
    return Spent(
        tokens=tokens + sum(call.estimated_tokens or 0 for call in calls),
        cost=cost + sum(call.estimated_cost or 0.0 for call in calls),
        answers=sum(call.kind is CallKind.ANSWER and call.outcome in ANSWERED for call in calls),
    )


async def admit(
    connection: AsyncConnection, limits: Limits, payer: Payer, now: datetime | None = None
) -> None:
    """Counts another message to be answered, and holds some of the budget for its answer. Raises BudgetReached."""
    now = now or utc_now()
    for limit in limits:
        key = _key(limit, payer, now)
        if key is not None and not await _admitted(connection, limit, key):
            await _make(connection, limit, key)
            if not await _admitted(connection, limit, key):
                raise await _refusal(connection, limit, key, payer, now)


async def check(
    connection: AsyncConnection, limits: Limits, payer: Payer, now: datetime | None = None
) -> None:
    """Raises BudgetReached if a message would not be admitted now. Changes nothing."""
    now = now or utc_now()
    for limit in limits:
        key = _key(limit, payer, now)
        if key and _used(limit, await _row(connection, limit, key)) >= _amount(limit):
            raise BudgetReached(limit, limit.period.end(now), held=False, user=payer.user)


async def settle(
    connection: AsyncConnection,
    limits: Limits,
    payer: Payer,
    spent: Spent,
    now: datetime,
    *,
    admitted_at: datetime | None = None,
) -> list[Budget]:
    """Adds what ended calls have used, before they are in the ledger; returns the budgets that are nearly used up.

    `admitted_at`: when the message was admitted whose answer has ended, and for which nothing is held any more.
    """
    near: list[Budget] = []
    for budget in limits.budgets:
        key = _key(budget, payer, now)
        if key is None:
            continue
        before = _key(budget, payer, admitted_at) if admitted_at else None
        if before is not None and before != key:
            await _add(connection, before, Spent(0, 0.0, 0), held=1)
        row = await _add(connection, key, spent, held=int(before == key))
        if row is None:
            await _make(connection, budget, key)
            row = await _add(connection, key, spent, held=0)
        if (
            row is not None
            and not row["warned"]
            and _used(budget, row) >= NEAR_SHARE * budget.amount
        ):
            near.append(budget)
    return near


async def mark_warned(
    connection: AsyncConnection, budgets: Sequence[Budget], payer: Payer
) -> tuple[NearBudget, ...]:
    """Records that a footer has warned about these budgets."""
    for budget in budgets:
        await connection.execute(_MARK_WARNED, _key(budget, payer, utc_now()))
    return tuple(NearBudget(budget.scope, str(budget)) for budget in budgets)


async def forget_old(connection: AsyncConnection) -> None:
    """Deletes the rows of periods that are long over."""
    await connection.execute(delete(spending).where(spending.c.begins < utc_now() - _KEPT))


async def _add(
    connection: AsyncConnection, key: dict[str, Any], spent: Spent, *, held: int
) -> Mapping[str, Any] | None:
    more = {
        "more_tokens": spent.tokens,
        "more_cost": spent.cost,
        "more_answers": spent.answers,
        "fewer_held": held,
    }
    row = (await connection.execute(_ADD, key | more)).mappings().one_or_none()
    return dict(row) if row else None


async def _admitted(connection: AsyncConnection, limit: Limit, key: dict[str, Any]) -> bool:
    if isinstance(limit, MessageRate):
        done = await connection.execute(_ADMIT_RATE, key | {"count": limit.count})
    else:
        done = await connection.execute(_ADMIT_BUDGET[limit.unit], key | {"amount": limit.amount})
    return done.rowcount > 0


async def _refusal(
    connection: AsyncConnection, limit: Limit, key: dict[str, Any], payer: Payer, now: datetime
) -> BudgetReached:
    row = (await connection.execute(_SELECT, key)).mappings().one()
    held = _used(limit, dict(row)) < _amount(limit)
    return BudgetReached(limit, limit.period.end(now), held=held, user=payer.user)


def _used(limit: Limit, row: Mapping[str, Any]) -> float:
    if isinstance(limit, MessageRate):
        return float(row["messages"])
    return float(row["tokens" if limit.unit is Unit.TOKENS else "cost"])


def _amount(limit: Limit) -> float:
    return limit.count if isinstance(limit, MessageRate) else limit.amount


def _key(limit: Limit, payer: Payer, at: datetime) -> dict[str, Any] | None:
    """The row that counts it; None if the payer has none, such as an API chat, which is in no channel."""
    subjects = {Scope.USER: payer.user, Scope.CHANNEL: payer.channel, Scope.WORKSPACE: ""}
    subject = subjects[limit.scope]
    if subject is None:
        return None
    return {
        "a_team": payer.team,
        "a_scope": "messages" if isinstance(limit, MessageRate) else limit.scope,
        "a_subject": subject,
        "a_period": limit.period,
        "a_begins": limit.period.begin(at),
    }


async def _make(connection: AsyncConnection, limit: Limit, key: dict[str, Any]) -> None:
    """Creates the row if it does not exist: for a budget with the ledger's sum, for a rate empty."""
    row = {name.removeprefix("a_"): value for name, value in key.items()}
    row |= {"tokens": 0, "cost": 0.0, "answers": 0, "held": 0, "messages": 0, "warned": False}
    if isinstance(limit, Budget):
        row |= await _sum(connection, limit, key)
    insert = dialect_insert(connection, spending)
    await connection.execute(insert.values(row).on_conflict_do_nothing())


async def _row(connection: AsyncConnection, limit: Limit, key: dict[str, Any]) -> Mapping[str, Any]:
    """The current count, from a row or, if there is none yet, from the ledger."""
    row = (await connection.execute(_SELECT, key)).mappings().one_or_none()
    if row is None and isinstance(limit, Budget):
        return await _sum(connection, limit, key)
    return dict(row or {"messages": 0})


async def _sum(
    connection: AsyncConnection, budget: Budget, key: dict[str, Any]
) -> Mapping[str, Any]:
    day = {"day": key["a_begins"].date().isoformat()}
    return dict((await connection.execute(_sums(budget), key | day)).mappings().one())


def _sums(budget: Budget) -> Select[Any]:
    """The ledger's sum for a budget in the period: from its days, or for an hour from its rows."""
    if budget.period is Period.HOUR:
        return _sums_of_hour(budget)
    days, column = usage_days.c, _SUBJECT_COLUMNS.get(budget.scope)
    mine = true() if column is None else days[column] == bindparam("a_subject")
    tokens = days.prompt_tokens + days.completion_tokens + days.estimated_tokens
    return select(
        func.coalesce(func.sum(tokens), 0).label("tokens"),
        func.coalesce(func.sum(days.cost + days.estimated_cost), 0.0).label("cost"),
        func.coalesce(func.sum(days.answers), 0).label("answers"),
    ).where(days.team == bindparam("a_team"), mine, days.day >= bindparam("day"))


def _sums_of_hour(budget: Budget) -> Select[Any]:
    calls, column = ledger.c, _SUBJECT_COLUMNS.get(budget.scope)
    mine = true() if column is None else calls[column] == bindparam("a_subject")
    answered = and_(calls.kind == CallKind.ANSWER, calls.outcome.in_(ANSWERED))
    reported = calls.prompt_tokens + calls.completion_tokens
    tokens = func.sum(func.coalesce(reported, calls.estimated_tokens))
    cost = func.sum(func.coalesce(calls.cost, calls.estimated_cost))
    sums: list[ColumnElement[Any]] = [
        func.coalesce(tokens, 0).label("tokens"),
        func.coalesce(cost, 0.0).label("cost"),
        func.count(case((answered, 1))).label("answers"),
    ]
    return select(*sums).where(
        calls.team == bindparam("a_team"), mine, calls.at >= bindparam("a_begins")
    )
