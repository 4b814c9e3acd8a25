"""Finds the Slack of a team: the one that the settings name, or those that have installed the app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakValueDictionary

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.answers.events import INSTALLATION_TOPIC, EventPublisher
from bot.errors import SettingsError, StorageError
from bot.observability import Metrics, get_logger
from bot.timing import Timing
from handlers.client.errors import INVALID_TOKEN_CODES, NotInstalled, error_code
from handlers.client.web_api import SlackClient
from handlers.rate_limits.dispatcher import CallDispatcher
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.shared import SharedRateLimiter
from handlers.rate_limits.token_bucket import RATES, Rate
from storage.coordination import Coordination
from storage.installations import Installation, Installations

log = get_logger(__name__)

BELIEVED = 60.0
"""Seconds that an installation is used without looking again, if nobody tells that something has changed."""

SOON = 5.0
"""Seconds until one that could not be read is looked at again."""
SKEW = 5.0
"""Seconds that our clocks and Slack's may differ."""

NewClient = Callable[[str | None], AsyncWebClient]
"""A Web API client for a token, or for calls that need none."""


class WorkspaceResolver(Protocol):
    """Where every listener and every answer finds its Slack."""

    async def client_for(self, team: str) -> SlackClient:
        """Raises NotInstalled, StorageError."""
        ...

    async def authorize(
        self, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        """Who the bot is where an event comes from, for Bolt; None where it is not installed. Raises StorageError."""
        ...

    async def ended(self, enterprise_id: str | None, team_id: str | None, at: float | None) -> None:
        """The app was uninstalled, or its token revoked, at this time (seconds since 1970). Raises StorageError."""
        ...


@dataclass(frozen=True)
class SlackClients:
    """Makes the Slack of a workspace, with a call dispatcher of its own."""

    client: NewClient
    session: aiohttp.ClientSession
    metrics: Metrics
    shared_limits: SharedRateLimiter | None = None
    timing: Timing = Timing()
    rates: Mapping[str, Rate] = field(default_factory=lambda: RATES)

    async def ask(self, token: str) -> SlackClient:
        """Asks Slack who the bot is. Raises SlackApiError, aiohttp.ClientError, TimeoutError."""
        who = await self.client(token).auth_test()
        url, bot_user = str(who.get("url") or ""), str(who["user_id"])
        return self.open(
            str(who["team_id"]), Installation("", "", bot_user, token, who.get("bot_id"), url)
        )

    def open(
        self, team: str, installed: Installation, dispatcher: CallDispatcher | None = None
    ) -> SlackClient:
        """What is installed serves this workspace. `dispatcher`: the one that it had before, with what was spent."""
        return SlackClient(
            self.client(installed.bot_token),
            team=team,
            bot_user=installed.bot_user,
            bot_id=installed.bot_id,
            url=installed.url or "https://slack.com/",
            dispatcher=dispatcher
            or CallDispatcher(
                WriteScheduler(self.rates),
                shared_limits=self.shared_limits.of(team)
                if self.shared_limits is not None
                else None,
            ),
            metrics=self.metrics,
            timing=self.timing,
            session=self.session,
        )


class SingleWorkspace:
    """One workspace, whose token stands in the settings."""

    def __init__(self, only: SlackClient, token: str) -> None:
        self.only, self._token = only, token

    @classmethod
    async def open(cls, slack_clients: SlackClients, token: str) -> SingleWorkspace:
        """Asks Slack who the bot is, as long as that takes. Raises SettingsError for a token that Slack refuses."""
        pause = 0.5
        while True:
            try:
                return cls(await slack_clients.ask(token), token)
            except SlackApiError as error:
                code = error_code(error)
                if code in INVALID_TOKEN_CODES:
                    raise SettingsError(
                        f"SLACK_BOT_TOKEN is refused by Slack ({code}): "
                        "copy it again from the app's OAuth & Permissions"
                    ) from error
                log.warning("slack_not_ready", reason=str(code))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("slack_unreachable", reason=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(10.0, pause * 2)

    async def client_for(self, team: str) -> SlackClient:
        return self.only

    async def authorize(
        self, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        return _identity(self.only, self._token, enterprise_id)

    async def ended(self, enterprise_id: str | None, team_id: str | None, at: float | None) -> None:
        log.error(
            "token_revoked", advice="install the app again and set SLACK_BOT_TOKEN to its new token"
        )


@dataclass(slots=True)
class _Known:
    """An installation in memory, with the Slack that was opened for it."""

    slack: SlackClient
    token: str = field(repr=False)
    checked: float
    noted: str | None = None
    """The organisation that is stored for this workspace, as far as we know."""


class InstalledWorkspaces:
    """The workspaces that have installed the app. One read of the database a minute and workspace, not one an event.

    A minute is too long where the token has changed: whoever hears of that tells the other replicas (`following`).

    An installation that cannot be read anew is believed as it was: the listeners say themselves that the database is
    away, and another replica may have sealed the token with a key that we have not been given yet.
    """

    def __init__(
        self, installations: Installations, slack_clients: SlackClients, publisher: EventPublisher
    ) -> None:
        self._installations, self._slack_clients, self._publisher = (
            installations,
            slack_clients,
            publisher,
        )
        self._known: dict[str, _Known] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def client_for(self, team: str) -> SlackClient:
        return (await self._find(team, None)).slack

    async def authorize(
        self, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        team = team_id or enterprise_id
        if not team:
            return None
        try:
            known = await self._find(team, enterprise_id)
        except NotInstalled:
            return None
        if enterprise_id and not _is_organisation(team) and known.noted != enterprise_id:
            # For what is to be said there unasked, when nobody tells the organisation.
            await self._installations.remember_organisation(team, enterprise_id)
            known.noted = enterprise_id
        return _identity(known.slack, known.token, enterprise_id)

    async def ended(self, enterprise_id: str | None, team_id: str | None, at: float | None) -> None:
        before = None if at is None else datetime.fromtimestamp(at + SKEW, UTC)
        if await self._installations.remove(team_id, enterprise_id, before):
            log.warning("uninstalled", team=team_id, enterprise=enterprise_id)
            self._publisher.recheck_tokens(team_id)
        self._look_again()
        self._publisher.recheck_installations()

    def installed(self, installed: Installation) -> None:
        """There is a new token."""
        self._look_again()
        self._publisher.recheck_installations()

    @asynccontextmanager
    async def following(self, coordination: Coordination) -> AsyncIterator[None]:
        """While this is open, what other replicas tell of installations counts here at once."""
        task = asyncio.create_task(self._follow(coordination), name="installations")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, coordination: Coordination) -> None:
        async with coordination.subscribe(INSTALLATION_TOPIC) as signals:
            async for _ in signals:
                self._look_again()

    def _look_again(self) -> None:
        for known in self._known.values():
            known.checked = float("-inf")

    async def _find(self, team: str, enterprise: str | None) -> _Known:
        known = self._known.get(team)
        if known is not None and time.monotonic() - known.checked < BELIEVED:
            return known
        async with self._opening.setdefault(team, asyncio.Lock()):
            known = self._known.get(team)
            if known is not None and time.monotonic() - known.checked < BELIEVED:
                return known
            return await self._look(team, enterprise, known)

    async def _look(self, team: str, enterprise: str | None, known: _Known | None) -> _Known:
        try:
            if _is_organisation(team):  # some views name it in the workspace's place
                found = await self._installations.find(None, team)
            else:
                found = await self._installations.find(team, enterprise)
        except StorageError as error:
            if known is None:
                raise
            log.warning("installation_not_read", team=team, reason=str(error))
            known.checked = time.monotonic() - BELIEVED + SOON
            return known
        if found is None:
            self._known.pop(team, None)
            raise NotInstalled(team)
        if known is None or known.token != found.bot_token:
            slack = self._slack_clients.open(
                team, found, known.slack.dispatcher if known is not None else None
            )
            known = self._known[team] = _Known(slack, found.bot_token, 0.0)
        known.checked = time.monotonic()
        return known


def _is_organisation(id: str) -> bool:
    return id.startswith("E")


def _identity(slack: SlackClient, token: str, enterprise: str | None) -> AuthorizeResult:
    return AuthorizeResult(
        enterprise_id=enterprise,
        team_id=slack.team,
        bot_user_id=slack.bot_user,
        bot_id=slack.bot_id,
        bot_token=token,
    )
