"""How much people may use."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from bot.config.group import SettingsGroup
from bot.config.values import Valid
from bot.usage.limits import Budget, Limits, MessageRate, Scope, parse_budget, parse_rate

_VALID_BUDGET = Valid(
    "an amount, a unit (USD or tokens) and a period (hour, day, week or month), such as 5 USD/month or 2M tokens/day"
)
_VALID_RATE = Valid("a number and a period (hour, day, week or month), such as 30/hour")


def _parsed(scope: Scope) -> BeforeValidator:
    parse = partial(parse_budget, scope)
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


class UsageSettings(SettingsGroup):
    """Budgets and rates."""

    bobbin_budget_user: Annotated[Budget | None, NoDecode, _parsed(Scope.USER), _VALID_BUDGET] = (
        Field(
            None,
            description="what a person may use, such as `5 USD/month` or `2M tokens/day` (periods: `hour`, `day`, "
            "`week`, `month`, in UTC). Once it is used up, their next message is refused until the period ends. Where "
            "a provider tells no cost, a budget in USD counts what is known, and `bobbin doctor` names the models",
        )
    )
    bobbin_budget_channel: Annotated[
        Budget | None, NoDecode, _parsed(Scope.CHANNEL), _VALID_BUDGET
    ] = Field(None, description="the same for each channel, all its people together")
    bobbin_budget_workspace: Annotated[
        Budget | None, NoDecode, _parsed(Scope.WORKSPACE), _VALID_BUDGET
    ] = Field(None, description="the same for each workspace")
    bobbin_rate_user: Annotated[
        MessageRate | None,
        NoDecode,
        BeforeValidator(lambda value: parse_rate(value) if isinstance(value, str) else value),
        _VALID_RATE,
    ] = Field(None, description="messages that a person may have answered, such as `30/hour`")

    def limits(self) -> Limits:
        """All budgets and rates that are set."""
        budgets = (
            self.bobbin_budget_user,
            self.bobbin_budget_channel,
            self.bobbin_budget_workspace,
        )
        return Limits(tuple(each for each in budgets if each is not None), self.bobbin_rate_user)
