"""Finds the Slack of a team: the one that the settings name, or those that have installed the app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SettingsError
from bot.observability import Metrics, get_logger
from handlers.budgets import Budgets
from handlers.desk import Desk
from handlers.slack import NotInstalled, Slack
from storage.installations import Installations, Installed

log = get_logger(__name__)

WRONG_TOKEN = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})
BELIEVED = 60.0
"""Seconds that an installation is used without looking again: another replica may have heard of its end."""

NewClient = Callable[[str | None], AsyncWebClient]
"""A Web API client for a token, or for calls that need none."""


class Workspaces(Protocol):
    """Where every listener and every answer finds its Slack."""

    async def __call__(self, team: str) -> Slack:
        """Raises NotInstalled."""
        ...

    async def authorize(self, enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        """Who the bot is where an event comes from, for Bolt; None where it is not installed."""
        ...

    async def ended(self, enterprise_id: str | None, team_id: str | None) -> None:
        """The app was uninstalled, or its token revoked."""
        ...


@dataclass(frozen=True)
class Desks:
    """Makes the Slack of a workspace, with a desk of its own."""

    client: NewClient
    session: aiohttp.ClientSession
    metrics: Metrics
    budgets: Budgets | None = None

    async def open(self, token: str, team: str | None = None) -> Slack:
        """Asks Slack who the bot is. Raises SlackApiError, aiohttp.ClientError, TimeoutError."""
        client = self.client(token)
        who = await client.auth_test()
        team = team or str(who["team_id"])
        return Slack(
            client,
            team=team,
            bot_user=str(who["user_id"]),
            bot_id=who.get("bot_id"),
            url=str(who.get("url") or "https://slack.com/"),
            desk=Desk(account=self.budgets.of(team) if self.budgets is not None else None),
            metrics=self.metrics,
            session=self.session,
        )


def _code(error: SlackApiError) -> str | None:
    """Slack's name for the reason; None when it answered with something else, as it does while it is down."""
    data = getattr(error.response, "data", None)
    return data.get("error") if isinstance(data, dict) else None


class OneWorkspace:
    """One workspace, whose token stands in the settings."""

    def __init__(self, only: Slack, token: str) -> None:
        self.only, self._token = only, token

    @classmethod
    async def open(cls, desks: Desks, token: str) -> OneWorkspace:
        """Asks Slack who the bot is, as long as that takes. Raises SettingsError for a token that Slack refuses."""
        pause = 0.5
        while True:
            try:
                return cls(await desks.open(token), token)
            except SlackApiError as error:
                code = _code(error)
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

    async def __call__(self, team: str) -> Slack:
        return self.only

    async def authorize(self, enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        return _identity(self.only, self._token, enterprise_id)

    async def ended(self, enterprise_id: str | None, team_id: str | None) -> None:
        log.error("token_revoked", advice="install the app again and set SLACK_BOT_TOKEN to its new token")


@dataclass(slots=True)
class _Known:
    """An installation in memory, with the Slack that was opened for it."""

    slack: Slack
    token: str = field(repr=False)
    checked: float = 0.0


class ManyWorkspaces:
    """The workspaces that have installed the app. One read of the database a minute and workspace, not one an event."""

    def __init__(self, installations: Installations, desks: Desks) -> None:
        self._installations, self._desks = installations, desks
        self._known: dict[str, _Known] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def __call__(self, team: str) -> Slack:
        return (await self._find(team)).slack

    async def authorize(self, enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        team = team_id or enterprise_id or ""
        if enterprise_id and team_id and team not in self._known:
            await self._installations.note(team_id, enterprise_id)
        try:
            known = await self._find(team, enterprise_id)
        except NotInstalled:
            return None
        return _identity(known.slack, known.token, enterprise_id)

    async def ended(self, enterprise_id: str | None, team_id: str | None) -> None:
        """The app was uninstalled, or its token revoked."""
        await self._installations.remove(enterprise_id, team_id)
        self.forget()

    def installed(self, installed: Installed) -> None:
        """There is a new token: look again at once."""
        self.forget()

    def forget(self) -> None:
        """Look again before the next use, but keep the desks: their budgets hold whatever the token."""
        for known in self._known.values():
            known.checked = float("-inf")

    async def _find(self, team: str, enterprise: str | None = None) -> _Known:
        known = self._known.get(team)
        if known is not None and time.monotonic() - known.checked < BELIEVED:
            return known
        async with self._opening.setdefault(team, asyncio.Lock()):
            known = self._known.get(team)
            if known is not None and time.monotonic() - known.checked < BELIEVED:
                return known
            return await self._look(team, enterprise, known)

    async def _look(self, team: str, enterprise: str | None, known: _Known | None) -> _Known:
        found = await self._installations.find(enterprise, team) if enterprise else None
        found = found or await self._installations.of_team(team)
        if found is None:
            self._known.pop(team, None)
            raise NotInstalled(team)
        if known is None or known.token != found.bot_token:
            try:
                slack = await self._desks.open(found.bot_token, team)
            except SlackApiError as error:
                self._known.pop(team, None)
                raise NotInstalled(team) from error
            known = self._known[team] = _Known(slack, found.bot_token)
        known.checked = time.monotonic()
        return known


def _identity(slack: Slack, token: str, enterprise: str | None) -> AuthorizeResult:
    return AuthorizeResult(
        enterprise_id=enterprise,
        team_id=slack.team,
        bot_user_id=slack.bot_user,
        bot_id=slack.bot_id,
        bot_token=token,
    )
