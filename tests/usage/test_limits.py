"""Budgets and rates as operators write them, and the periods in which they count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.usage.limits import Budget, MessageRate, Period, Scope, Unit, parse_budget, parse_rate


@pytest.mark.parametrize(
    ("text", "amount", "unit", "period", "shown"),
    [
        ("5 USD/month", 5, Unit.USD, Period.MONTH, "5 USD/month"),
        ("0.5usd / Hour", 0.5, Unit.USD, Period.HOUR, "0.5 USD/hour"),
        ("2M tokens/day", 2_000_000, Unit.TOKENS, Period.DAY, "2M tokens/day"),
        ("1.5k tokens/week", 1500, Unit.TOKENS, Period.WEEK, "1.5k tokens/week"),
        ("1234567 tokens/day", 1_234_567, Unit.TOKENS, Period.DAY, "1234567 tokens/day"),
        ("12345.5 USD/month", 12_345.5, Unit.USD, Period.MONTH, "12345.5 USD/month"),
        ("12345670 tokens/day", 12_345_670, Unit.TOKENS, Period.DAY, "12345.67k tokens/day"),
        (" 300 Tokens/day ", 300, Unit.TOKENS, Period.DAY, "300 tokens/day"),
    ],
)
def test_budgets(text: str, amount: float, unit: Unit, period: Period, shown: str) -> None:
    parsed = parse_budget(Scope.USER, text)
    assert parsed == Budget(Scope.USER, amount, unit, period)
    assert str(parsed) == shown


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "5 USD",
        "5/month",
        "USD/month",
        "-5 USD/month",
        "0 USD/month",
        "5 EUR/month",
        "5 USD/year",
        "5,5 USD/month",
        "5 USD/month!",
        "1e3 tokens/day",
        "٥ USD/month",
    ],
)
def test_no_budgets(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_budget(Scope.USER, text)


def test_rates() -> None:
    assert parse_rate(" 30 / hour") == MessageRate(30, Period.HOUR)
    for text in ("30", "0/hour", "-1/hour", "1.5/hour", "30/minute", "hour"):
        with pytest.raises(ValueError, match=r"."):
            parse_rate(text)


@pytest.mark.parametrize(
    ("now", "period", "begin", "end"),
    [
        ("2026-11-30T23:59:59", Period.HOUR, "2026-11-30T23", "2026-12-01T00"),
        ("2026-12-31T12:00:00", Period.DAY, "2026-12-31T00", "2027-01-01T00"),
        ("2026-11-29T12:00:00", Period.WEEK, "2026-11-23T00", "2026-11-30T00"),
        ("2026-11-30T00:00:00", Period.WEEK, "2026-11-30T00", "2026-12-07T00"),
        ("2026-02-01T00:00:00", Period.MONTH, "2026-02-01T00", "2026-03-01T00"),
        ("2026-12-31T23:59:59", Period.MONTH, "2026-12-01T00", "2027-01-01T00"),
        ("2028-02-29T10:00:00", Period.MONTH, "2028-02-01T00", "2028-03-01T00"),
    ],
)
def test_periods(now: str, period: Period, begin: str, end: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert period.begin(moment) == datetime.fromisoformat(begin).replace(tzinfo=UTC)
    assert period.end(moment) == datetime.fromisoformat(end).replace(tzinfo=UTC)
