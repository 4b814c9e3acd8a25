"""Budgets and rates: how much may be used in which period. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bot.errors import ChatError

NEAR_SHARE = 0.8
"""A footer warns from this share of a budget on."""


class Period(StrEnum):
    """Consecutive periods of time in UTC. The names are stored."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """Starts on Monday."""
    MONTH = "month"

    def begin(self, now: datetime) -> datetime:
        """When the period that contains `now` began."""
        now = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self is Period.HOUR:
            return now
        day = now.replace(hour=0)
        if self is Period.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Period.MONTH else day

    def end(self, now: datetime) -> datetime:
        """When the next one begins."""
        longest = {Period.HOUR: 1, Period.DAY: 24, Period.WEEK: 24 * 7, Period.MONTH: 24 * 31}
        begin = self.begin(now)
        # A month is at most 31 days long, so the day 31 days after its first is in the next month.
        return self.begin(begin + timedelta(hours=longest[self]))


class Scope(StrEnum):
    """Whose usage a limit counts. The names are stored."""

    USER = "user"
    CHANNEL = "channel"
    WORKSPACE = "workspace"


class Unit(StrEnum):
    USD = "USD"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one user, channel or workspace may use in a period."""

    scope: Scope
    amount: float
    unit: Unit
    period: Period

    def __str__(self) -> str:
        return f"{_short(self.amount)} {self.unit}/{self.period}"


@dataclass(frozen=True, slots=True)
class MessageRate:
    """How many messages of one user are answered in a period."""

    count: int
    period: Period

    scope = Scope.USER

    def __str__(self) -> str:
        return f"{self.count}/{self.period}"


Limit = Budget | MessageRate


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits set by the operator."""

    budgets: tuple[Budget, ...] = ()
    rate: MessageRate | None = None

    def __iter__(self) -> Iterator[Limit]:
        """Always in the same order, which is also the order in which the database locks the counters."""
        yield from self.budgets
        if self.rate is not None:
            yield self.rate


NO_LIMITS = Limits()


_WAIT_FOR_ANSWERS = 10
"""Seconds in which most answers end."""


class BudgetReached(ChatError):
    """A limit does not allow this user another message now."""

    def __init__(
        self, limit: Limit, again_at: datetime, *, held: bool, user: str | None = None
    ) -> None:
        """`again_at`: when the next period begins. `held`: the rest of the budget is held for answers in progress.

        `user`: Slack id of the message's author.
        """
        super().__init__(str(limit))
        self.limit = limit
        self.again_at = again_at
        self.held = held
        self.user = user

    def seconds_to_wait(self) -> int:
        """Seconds after which a message may be admitted: soon, if the budget is only held."""
        if self.held:
            return _WAIT_FOR_ANSWERS
        left = self.again_at - datetime.now(UTC)
        return max(1, math.ceil(left.total_seconds()))


def to_detail(reached: BudgetReached) -> str:
    """The stored form of a budget that has ended an answer; `from_detail` reads it."""
    return f"{reached.limit.scope} {reached.limit} {reached.again_at.isoformat()}"


def from_detail(detail: str) -> BudgetReached | None:
    """The budget that has ended an answer; None if the text is something else."""
    scope, _, rest = detail.partition(" ")
    budget, _, again_at = rest.rpartition(" ")
    try:
        limit = parse_budget(Scope(scope), budget)
        return BudgetReached(limit, datetime.fromisoformat(again_at), held=False)
    except ValueError:
        return None


_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_PERIODS = "|".join(Period)
_BUDGET = re.compile(
    rf"([0-9]+(?:\.[0-9]+)?)([kMG]?) ?(USD|tokens) ?/ ?({_PERIODS})", re.IGNORECASE
)
_RATE = re.compile(rf"([0-9]+) ?/ ?({_PERIODS})", re.IGNORECASE)


def parse_budget(scope: Scope, text: str) -> Budget:
    """A budget such as `5 USD/month` or `2M tokens/day`. Raises ValueError."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a budget")
    number, suffix, unit, period = match.groups()
    amount = float(number) * _FACTORS[suffix.lower()]
    if amount <= 0:
        raise ValueError("nothing may be used")
    return Budget(
        scope,
        amount,
        Unit.USD if unit.upper() == "USD" else Unit.TOKENS,
        Period(period.lower()),
    )


def parse_rate(text: str) -> MessageRate:
    """A rate such as `30/hour`. Raises ValueError."""
    match = _RATE.fullmatch(text.strip())
    if match is None or int(match[1]) < 1:
        raise ValueError("not a rate")
    return MessageRate(int(match[1]), Period(match[2].lower()))


def _short(amount: float) -> str:
    """The exact amount as people write it: 0.5, 1.5k, 2M, 1234567."""
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= factor and amount % (factor / 100) == 0:
            return f"{amount / factor:.15g}{suffix}"
    return f"{amount:.15g}"
