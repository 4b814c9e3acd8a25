"""Usage in `/chats usage` and the Home tab. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bot import strings
from bot.chats.usage import Overview
from bot.usage import strings as usage_strings
from bot.usage.figures import Figures
from handlers.markdown.plain_text import mrkdwn_escape, plain

_Name = Callable[[str], str]
MAX_LINES = 20
"""Groups that are listed: those with the most usage."""


def usage_message(overview: Overview) -> str:
    """As mrkdwn."""
    parts = [
        _part(usage_strings.USAGE_TODAY, overview.today, _model),
        _part(usage_strings.USAGE_MONTH, overview.month, _model),
    ]
    if overview.is_admin:
        parts.append(_part(usage_strings.USAGE_PEOPLE, overview.people, _person))
        parts.append(_part(usage_strings.USAGE_CHANNELS, overview.channels, _channel))
    return "\n\n".join(parts)


def usage_line(month: Figures | None) -> str:
    """One line about a user's month, for the Home tab."""
    return usage_strings.USAGE_HOME.format(
        figures=usage_strings.USAGE_NONE if month is None else _said([month])
    )


def _part(heading: str, groups: Sequence[Figures], name: _Name) -> str:
    total = _said(groups) if groups else usage_strings.USAGE_NONE
    lines = [f"• {name(each.group)}: {_said([each])}" for each in groups[:MAX_LINES]]
    return "\n".join([f"{heading} {total}", *lines])


def _said(groups: Iterable[Figures]) -> str:
    """Answers, tokens and cost of these groups together."""
    all_ = list(groups)
    answers, failures = sum(g.answers for g in all_), sum(g.failures for g in all_)
    count = sum(g.prompt_tokens + g.completion_tokens for g in all_)
    cached = sum(g.cached_tokens for g in all_)
    template = strings.TOKENS_CACHED if cached else strings.TOKENS
    facts = [usage_strings.USAGE_ANSWERS.format(count=answers)]
    if failures:
        facts.append(usage_strings.USAGE_FAILURES.format(count=failures))
    facts += [template.format(count=count, cached=cached)]
    if estimated := sum(g.estimated_tokens for g in all_):
        facts.append(usage_strings.USAGE_ESTIMATED.format(count=estimated))
    facts.append(_cost(all_))
    return " · ".join(facts)


def _cost(groups: Sequence[Figures]) -> str:
    cost, estimated = _told_cost(groups), sum(group.estimated_cost for group in groups)
    if not estimated:
        return cost
    about = strings.COST.format(dollars=estimated)
    return usage_strings.USAGE_COST_ESTIMATED.format(cost=cost, estimated=about)


def _told_cost(groups: Sequence[Figures]) -> str:
    if all(group.known_cost is None for group in groups):
        return usage_strings.USAGE_COST_UNKNOWN
    cost = strings.COST.format(dollars=sum(group.cost for group in groups))
    partly = any(group.unpriced for group in groups)
    return usage_strings.USAGE_COST_PARTLY.format(cost=cost) if partly else cost


def _model(group: str) -> str:
    return mrkdwn_escape(plain(group, 150))


def _person(group: str) -> str:
    return f"<@{group}>" if group else usage_strings.USAGE_NOBODY


def _channel(group: str) -> str:
    if not group:
        return strings.PLACE_API
    return strings.PLACE_DIRECT if group.startswith("D") else strings.PLACE.format(channel=group)
