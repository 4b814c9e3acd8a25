"""What people read about budgets and rates."""

from __future__ import annotations

from bot.domain import NearBudget
from bot.usage import strings
from bot.usage.limits import Budget, BudgetReached, Scope, Unit


def budget_reached(reached: BudgetReached, reader: str | None = None) -> str:
    """Why a message was refused, and when the next is not.

    `reader`: Slack id of who reads it, if it may be somebody else than who wrote the message.
    """
    limit = reached.limit
    is_others = reader is not None and reader != reached.user
    if not isinstance(limit, Budget):
        sentence = strings.RATE_REACHED_BY_ASKER if is_others else strings.RATE_REACHED
        return sentence.format(count=limit.count, period=limit.period, when=_when(reached))
    whose = strings.BUDGET_OF[limit.scope]
    if is_others and limit.scope is Scope.USER:
        whose = strings.BUDGET_OF_ASKER
    if reached.held:
        return strings.BUDGET_HELD.format(whose=whose, budget=limit)
    costs = strings.COSTS_AS_TOLD if limit.unit is Unit.USD else ""
    begin = whose[0].upper() + whose[1:]
    return strings.BUDGET_REACHED.format(whose=begin, budget=limit, when=_when(reached)) + costs


def budget_near(near: NearBudget) -> str:
    """What a footer says of a budget that is nearly used up."""
    return strings.BUDGET_NEAR.format(whose=strings.BUDGET_OF[near.scope], budget=near.budget)


def _when(reached: BudgetReached) -> str:
    at = reached.again_at
    return f"{at.day} {at:%B %Y at %H:%M} UTC"
