"""How the bot and Slack reach each other."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import Field, SecretStr

from bot.config.group import SettingsGroup
from bot.config.values import Credential, SlackAddress, Valid, reveal


class Delivery(StrEnum):
    """How Slack delivers events."""

    SOCKET = "socket"
    HTTP = "http"


class SlackSettings(SettingsGroup):
    """One workspace or many, by Socket Mode or HTTP."""

    slack_bot_token: Credential | None = Field(
        None, description="one workspace: the bot's token, `xoxb-…`"
    )
    slack_app_token: Credential | None = Field(
        None, description="Socket Mode: the app-level token, `xapp-…`"
    )
    slack_signing_secret: Credential | None = Field(
        None,
        description="HTTP mode: events, commands, interactivity and menus all at `POST /slack/events`",
    )
    slack_client_id: str | None = Field(
        None,
        description="many workspaces: install at `/slack/install`, Slack returns to `/slack/oauth_redirect`",
    )
    slack_client_secret: Credential | None = Field(None, description="goes with `SLACK_CLIENT_ID`")
    bobbin_secret_key: SecretStr | None = Field(
        None,
        description="any long random text; encrypts the tokens of installed workspaces in the database",
    )
    slack_api_url: Annotated[
        SlackAddress, Valid("a web address such as https://slack.com/api/")
    ] = Field(
        "https://slack.com/api/",
        description="base URL of Slack's Web API; change it for GovSlack or a proxy",
    )

    @property
    def delivery(self) -> Delivery:
        return Delivery.SOCKET if self.slack_app_token else Delivery.HTTP

    @property
    def many_workspaces(self) -> bool:
        """Whether workspaces install the app themselves. Otherwise `SLACK_BOT_TOKEN` determines the only one."""
        return bool(self.slack_client_id and self.slack_client_secret)

    def slack_problems(self) -> Iterator[str]:
        """What is missing or wrong for running on Slack, in one sentence each."""
        yield from self._identity_problems()
        if self.slack_app_token:
            if not reveal(self.slack_app_token).startswith("xapp-"):
                yield "SLACK_APP_TOKEN must begin with xapp- (from the Slack app's Basic Information, App-Level Tokens)"
        elif not self.slack_signing_secret:
            yield (
                "SLACK_APP_TOKEN is missing: set it to the app-level token (xapp-…) for Socket Mode, "
                "or SLACK_SIGNING_SECRET for HTTP"
            )

    def _identity_problems(self) -> Iterator[str]:
        if self.slack_client_id and not self.slack_client_secret:
            yield "SLACK_CLIENT_SECRET is missing: set it beside SLACK_CLIENT_ID, or remove both"
        elif self.slack_client_secret and not self.slack_client_id:
            yield "SLACK_CLIENT_ID is missing: set it beside SLACK_CLIENT_SECRET, or remove both"
        elif self.many_workspaces:
            if not reveal(self.bobbin_secret_key).strip(" ,"):
                yield "BOBBIN_SECRET_KEY is missing: set it to a long random text, kept as safe as a password"
        elif not self.slack_bot_token:
            yield "SLACK_BOT_TOKEN is missing: set it to the bot's token, xoxb-…, from the app's OAuth & Permissions"
        elif not reveal(self.slack_bot_token).startswith("xoxb-"):
            yield "SLACK_BOT_TOKEN must begin with xoxb- (from the Slack app's OAuth & Permissions)"
