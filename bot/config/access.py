"""Who may use Bobbin, and where."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from bot.access.durations import parse_duration
from bot.access.rules import AccessRules, Treatment
from bot.config.group import SettingsGroup
from bot.config.values import ChannelIds, UserIds, Valid, lower

_Treatment = Annotated[Treatment, BeforeValidator(lower), Valid("answer or ignore")]


def _life(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


class AccessSettings(SettingsGroup):
    """The rules that everybody passes before anything is stored."""

    bobbin_allowed_users: UserIds = Field(
        (),
        description="ids of the people who may use Bobbin (`U…`, or `T…/U…` with their workspace), or globs of ids, "
        "separated by commas or spaces; unset: everybody. Others are told so privately, once a day; nothing is stored "
        "and no model is called",
    )
    bobbin_allowed_channels: ChannelIds = Field(
        (),
        description="the same for channels (`C…`, `D*` for direct messages); unset: everywhere. Chats of the API are "
        "in no channel",
    )
    bobbin_outsiders: _Treatment = Field(
        Treatment.IGNORE,
        description="`answer` or `ignore` people of other organisations in shared channels; who cannot be told apart "
        "counts as one of them",
    )
    bobbin_guests: _Treatment = Field(
        Treatment.ANSWER, description="`answer` or `ignore` guests of the workspace"
    )
    bobbin_admins: UserIds = Field(
        (),
        description="ids of people who may do what admins and owners of the workspace may: channel settings, "
        "everybody's usage",
    )

    bobbin_token_life: Annotated[
        timedelta | None, BeforeValidator(_life), Valid("a number and a unit, such as 30d or 12h")
    ] = Field(
        None,
        description="how long an API token from `/chats token` is valid, and the longest that people can choose "
        "(`30d`, `12h`); unset: until it is revoked",
    )

    def access_rules(self) -> AccessRules:
        return AccessRules(
            users=self.bobbin_allowed_users,
            channels=self.bobbin_allowed_channels,
            outsiders=Treatment(self.bobbin_outsiders),
            guests=Treatment(self.bobbin_guests),
            admins=self.bobbin_admins,
        )
