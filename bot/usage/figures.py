"""Sums of usage. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

_DAYS = {"d": 1, "w": 7}


class GroupBy(StrEnum):
    """The attribute by which usage is grouped."""

    USER = "user"
    CHANNEL = "channel"
    MODEL = "model"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Figures:
    """What the calls of one group used."""

    group: str
    """A Slack id, a model as `provider:name`, or a day as `2026-11-30`; empty if the ledger knows none."""
    team: str
    """Slack id of the workspace; empty if several are summed."""
    answers: int
    """Answers with text from the model, including those that were stopped or cut."""
    failures: int
    """Answers that failed."""
    calls: int
    """Model calls, including those for titles, summaries and repeated attempts."""
    untold: int
    """Calls whose provider reported no tokens."""
    unpriced: int
    """Calls whose provider reported no cost."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float
    """US dollars, as far as providers reported them."""
    estimated_tokens: int = 0
    """What calls without reported figures probably used, by our own estimate; not part of the other figures."""
    estimated_cost: float = 0.0
    """US dollars that no provider reported, if a price is known."""

    @property
    def known_cost(self) -> float | None:
        """The cost; None if no call's cost is known."""
        return self.cost if self.unpriced < self.calls else None


def parse_since(text: str, today: date | None = None) -> date:
    """The first day that counts: `30d` and `4w` mean that many days up to today, a date or a time (UTC) its day.

    Raises ValueError.
    """
    today = today or datetime.now(UTC).date()
    if match := re.fullmatch(r"(\d{1,5})([dw])", text.strip()):
        days = int(match[1]) * _DAYS[match[2]]
        if days < 1:
            raise ValueError("no days")
        return max(today - timedelta(days=days - 1), date(1970, 1, 1))
    moment = datetime.fromisoformat(text.strip())
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
