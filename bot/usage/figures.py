"""What was used, added up. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

_DAYS = {"d": 1, "w": 7}


class GroupBy(StrEnum):
    """By what usage is added up."""

    USER = "user"
    CHANNEL = "channel"
    MODEL = "model"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Figures:
    """What the calls of one group used."""

    group: str
    """A Slack id, a model as `provider:name`, a day as `2026-11-30`; empty where the ledger knows none."""
    team: str
    """Slack id of the workspace; empty where several are added up."""
    answers: int
    """That ended with what the model wrote, those that were stopped or cut included."""
    failures: int
    """Answers that failed."""
    calls: int
    """Of models, for titles, summaries and repeated attempts too."""
    untold: int
    """Calls whose tokens no provider told."""
    unpriced: int
    """Calls whose cost no provider told."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float
    """US dollars, as far as providers told them."""
    estimated_tokens: int = 0
    """What calls whose provider told nothing will have used, by our own estimate; beside the rest."""
    estimated_cost: float = 0.0
    """US dollars of those tokens, as far as their price is known."""

    @property
    def known_cost(self) -> float | None:
        """The cost; None when no call's is known."""
        return self.cost if self.unpriced < self.calls else None


def parse_since(text: str, today: date | None = None) -> date:
    """The first day that counts: `30d` and `4w` are so many days up to today, a date or a time (UTC) is its day.

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
