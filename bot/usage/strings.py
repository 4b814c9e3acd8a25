"""What people read about usage and budgets."""

from __future__ import annotations

from bot.languages.texts import Plural, translatable

translatable(__name__)

PERIODS = {"hour": "hour", "day": "day", "week": "week", "month": "month"}
MOMENT = "{date} at {time} UTC"
BUDGET_OF = {
    "user": "your budget",
    "channel": "this channel's budget",
    "workspace": "this workspace's budget",
}
BUDGET_OF_ASKER = "the budget of whoever asked"
"""Replaces "your budget" when somebody else presses Retry."""
BUDGET_REACHED = "{whose} of {budget} is used up. It begins anew on {when}."
COSTS_AS_KNOWN = " (It counts costs as far as they are known.)"
BUDGET_HELD = (
    "What is left of {whose} of {budget} is held for answers that are still being written. "
    "Please try again when they have ended."
)
BUDGET_NEAR = "80 % of {whose} of {budget} is used"
RATE_REACHED_BY_ASKER = Plural(
    "Whoever asked may have {count} message answered per {period}, and it has been. "
    "The next {period} begins on {when}.",
    "Whoever asked may have {count} messages answered per {period}, and these have been. "
    "The next {period} begins on {when}.",
)
RATE_REACHED = Plural(
    "You may have {count} message answered per {period}, and it has been. "
    "The next {period} begins on {when}.",
    "You may have {count} messages answered per {period}, and these have been. "
    "The next {period} begins on {when}.",
)
USAGE_TODAY = "*Today*"
USAGE_MONTH = "*This month*"
USAGE_PEOPLE = "*Everybody, this month*"
USAGE_CHANNELS = "*By channel, this month*"
USAGE_HOME = "Your usage this month: {figures}"
USAGE_NONE = "nothing yet"
USAGE_NOBODY = "Nobody any more"
USAGE_ANSWERS = Plural("{count:,} answer", "{count:,} answers")
USAGE_FAILURES = "{count:,} failed"
USAGE_COST_UNKNOWN = "cost unknown"
USAGE_COST_PARTLY = "{cost} as far as known"
USAGE_COST_ESTIMATED = "{cost}, and about {estimated} by estimate"
"""Follows one of the above: the cost of tokens that the provider did not report."""
USAGE_ESTIMATED = "about {count:,} more tokens, not told by the provider"
USAGE_NOT_SHOWN = "I could not read your usage just now. Please try again in a moment."
