"""Everybody sees their own usage; admins see what their workspace has used, by person and channel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.api.usage import UsageFigures
from bot.chats.usage import UsageService
from bot.domain import ModelRef, Usage, User
from bot.usage.calls import Call, CallKind, CallOutcome, Payer
from bot.usage.figures import GroupBy, parse_since
from handlers.views.usage import usage_line, usage_message
from storage.engine.database import Database
from storage.engine.types import new_id
from storage.ledger import Ledger

ADMIN, OTHER, ELSEWHERE = User("T1", "U1"), User("T1", "U2"), User("T2", "U1")


async def is_admin(user: User) -> bool:
    return user == ADMIN


def call(
    user: User, channel: str | None, cost: float | None, kind: CallKind = CallKind.ANSWER
) -> Call:
    payer = Payer(user.team, user.id, channel, "chat")
    used = Usage(100, 10, cost)
    return Call(new_id(), payer, kind, ModelRef("openai", "m"), CallOutcome.DONE, used, 1.0)


async def test_admins_see_everybody_of_their_workspace(database: Database) -> None:
    ledger = Ledger(database)
    for one in (
        call(ADMIN, "C1", 0.5),
        call(OTHER, "D1", None),
        call(OTHER, None, 0.25),
        call(OTHER, None, 0.25, CallKind.TITLE),
        call(ELSEWHERE, "C9", 9.0),
    ):
        await ledger.add([one])
    usage = UsageService(ledger, is_admin)
    said = usage_message(await usage.overview(ADMIN))
    assert "*This month* 1 answer · 110 tokens · $0.5000" in said
    assert "• <@U2>: 2 answers · 330 tokens · $0.5000 as far as known" in said
    assert "• <#C1>: 1 answer" in said
    assert "• direct messages: 1 answer · 110 tokens · cost unknown" in said
    assert "• API: 1 answer · 220 tokens · $0.5000" in said
    assert "C9" not in said
    own = usage_message(await usage.overview(OTHER))
    assert "<@" not in own
    assert "openai:m: 2 answers" in own
    since = parse_since("1d")
    seen = {
        user: [each.group for each in await usage.figures(user, since, GroupBy.USER)]
        for user in (ADMIN, OTHER, ELSEWHERE)
    }
    assert seen == {ADMIN: ["U2", "U1"], OTHER: ["U2"], ELSEWHERE: ["U1"]}


async def test_a_person_without_usage_is_told_so(database: Database) -> None:
    usage = UsageService(Ledger(database), is_admin)
    assert usage_message(await usage.overview(OTHER)) == (
        "*Today* nothing yet\n\n*This month* nothing yet"
    )
    assert usage_line(await usage.this_month(OTHER)) == "Your usage this month: nothing yet"


async def test_estimated_figures_are_separate_from_reported_ones(database: Database) -> None:
    ledger = Ledger(database)
    await ledger.add([call(OTHER, "C1", 0.5)])
    untold = replace(call(OTHER, "C1", None), usage=None, outcome=CallOutcome.STOPPED)
    await ledger.add([replace(untold, estimated_tokens=22)])
    usage = UsageService(ledger, is_admin)
    said = (
        "2 answers · 110 tokens · about 22 more tokens, not told by the provider · "
        "$0.5000 as far as known, and about $0.1000 by estimate"
    )
    month = await usage.this_month(OTHER)
    assert usage_line(month) == f"Your usage this month: {said}"
    assert f"• openai:m: {said}" in usage_message(await usage.overview(OTHER))
    (told,) = await usage.figures(OTHER, parse_since("1d"), GroupBy.MODEL)
    shown = UsageFigures.of(told).model_dump(by_alias=True)
    assert (shown["cost"], shown["estimatedTokens"]) == (0.5, 22)
    assert shown["estimatedCost"] == pytest.approx(0.1)
