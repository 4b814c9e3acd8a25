"""The API's route for usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from bot.api.bodies import GuardedRoute
from bot.api.context import Context, CurrentUser
from bot.api.responses import COMMON_RESPONSES
from bot.api.schemas import CamelModel
from bot.errors import InvalidInput
from bot.usage.figures import Figures, GroupBy, parse_since

routes = APIRouter(responses=COMMON_RESPONSES, tags=["usage"], route_class=GuardedRoute)


class UsageFigures(CamelModel):
    """What the calls of models of one group used."""

    group: str = Field(description="A user, a channel, a model or a day; empty where it is unknown")
    answers: int
    failures: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    estimated_tokens: int = Field(
        description="What calls will have used whose provider told nothing; beside the rest"
    )
    cost: float | None = Field(description="US dollars, as far as providers told; null: unknown")
    estimated_cost: float = Field(
        description="US dollars that no provider told, as far as a price is known; beside `cost`"
    )

    @classmethod
    def of(cls, figures: Figures) -> UsageFigures:
        return cls(
            group=figures.group,
            answers=figures.answers,
            failures=figures.failures,
            prompt_tokens=figures.prompt_tokens,
            completion_tokens=figures.completion_tokens,
            cached_tokens=figures.cached_tokens,
            estimated_tokens=figures.estimated_tokens,
            cost=figures.known_cost,
            estimated_cost=figures.estimated_cost,
        )


class UsageReport(CamelModel):
    since: date
    by: GroupBy
    usage: Sequence[UsageFigures]


@routes.get("/usage")
async def usage(
    context: Context,
    user: CurrentUser,
    since: Annotated[
        str, Query(max_length=40, description="`30d`, `4w`, or a date or time; whole days in UTC")
    ] = "30d",
    by: GroupBy = GroupBy.MODEL,
) -> UsageReport:
    """What you have used; admins of the workspace get everybody's."""
    try:
        first = parse_since(since)
    except ValueError:
        raise InvalidInput(
            f"since: {since!r} is neither a number of days (30d) nor a date"
        ) from None
    found = await context.usage.figures(user, first, by)
    return UsageReport(since=first, by=by, usage=[UsageFigures.of(each) for each in found])
