"""Finds the Slack of a team."""

from __future__ import annotations

import asyncio

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SettingsError
from bot.observability import Metrics, get_logger
from handlers.budgets import Budgets
from handlers.desk import Desk
from handlers.slack import Slack

log = get_logger(__name__)

WRONG_TOKEN = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})


class Workspaces:
    """One workspace, whose token stands in the settings."""

    def __init__(self, only: Slack) -> None:
        self.only = only

    @classmethod
    async def single(
        cls, client: AsyncWebClient, session: aiohttp.ClientSession, metrics: Metrics, budgets: Budgets | None = None
    ) -> Workspaces:
        """Asks Slack who the bot is, as long as that takes. Raises SettingsError for a token that Slack refuses."""
        pause = 0.5
        while True:
            try:
                who = await client.auth_test()
                break
            except SlackApiError as error:
                code = error.response.get("error") if error.response is not None else None
                if code in WRONG_TOKEN:
                    raise SettingsError(
                        f"SLACK_BOT_TOKEN is refused by Slack ({code}): "
                        "copy it again from the app's OAuth & Permissions"
                    ) from error
                log.warning("slack_not_ready", reason=str(code))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("slack_unreachable", reason=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 2)
        return cls(
            Slack(
                client,
                team=str(who["team_id"]),
                bot_user=str(who["user_id"]),
                bot_id=who.get("bot_id"),
                url=str(who.get("url") or "https://slack.com/"),
                desk=Desk(account=budgets.of(str(who["team_id"])) if budgets is not None else None),
                metrics=metrics,
                session=session,
            )
        )

    async def __call__(self, team: str) -> Slack:
        return self.only
