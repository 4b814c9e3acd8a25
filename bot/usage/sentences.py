"""What people read about budgets and rates."""

from __future__ import annotations

from bot.domain import NearBudget
from bot.languages.catalogues import long_date
from bot.languages.language import current_language
from bot.usage import strings
from bot.usage.limits import Budget, BudgetReached, Scope, Unit


def budget_reached(reached: BudgetReached, reader: str | None = None) -> str:
    """Why a message was refused, and when the next one will be accepted.

    `reader`: Slack id of the reader, if it may be somebody else than the message's author.
    """
    limit = reached.limit
    is_others = reader is not None and reader != reached.user
    if not isinstance(limit, Budget):
        sentence = strings.RATE_REACHED_BY_ASKER if is_others else strings.RATE_REACHED
        period = strings.PERIODS[limit.period]
        return sentence.format(count=limit.count, period=period, when=_when(reached))
    whose = strings.BUDGET_OF[limit.scope]
    if is_others and limit.scope is Scope.USER:
        whose = strings.BUDGET_OF_ASKER
    budget = _budget(f"{limit}")
    if reached.held:
        return strings.BUDGET_HELD.format(whose=whose, budget=budget)
    costs = strings.COSTS_AS_KNOWN if limit.unit is Unit.USD else ""
    begin = whose[0].upper() + whose[1:]
    return strings.BUDGET_REACHED.format(whose=begin, budget=budget, when=_when(reached)) + costs


def budget_near(near: NearBudget) -> str:
    """What a footer says about a budget that is nearly used up."""
    whose = strings.BUDGET_OF[near.scope]
    return strings.BUDGET_NEAR.format(whose=whose, budget=_budget(near.budget))


def _budget(budget: str) -> str:
    """A budget such as `5 USD/month`, with its period in the reader's language."""
    amount, _, period = budget.partition("/")
    return f"{amount}/{strings.PERIODS.get(period, period)}"


def _when(reached: BudgetReached) -> str:
    at = reached.again_at
    return strings.MOMENT.format(date=long_date(at.date(), current_language()), time=f"{at:%H:%M}")
