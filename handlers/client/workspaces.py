"""Finds the Slack client for a workspace: the one named in the settings, or those that have installed the app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.answers.events import INSTALLATION_TOPIC, EventPublisher
from bot.errors import SettingsError, StorageError
from bot.network.failures import explain
from bot.observability import Metrics, get_logger
from bot.runtime.tasks import KeyedLocks, cancelled_on_leaving
from bot.timing import Timing
from handlers.client.diagnostics import NOT_SLACK
from handlers.client.errors import INVALID_TOKEN_CODES, NotInstalled, error_code
from handlers.client.web_api import SlackClient
from handlers.rate_limits.dispatcher import CallDispatcher
from handlers.rate_limits.scheduler import WriteScheduler
from handlers.rate_limits.shared import SharedRateLimiter
from handlers.rate_limits.slack_rates import RATES, Rate
from storage.action_claims import ActionClaims
from storage.coordination import Coordination
from storage.installations import Installation, Installations
from storage.served_teams import Serves, installed_teams, only_team

log = get_logger(__name__)

INSTALLATION_RETRY_DELAY = 5.0
"""Seconds until an installation that could not be read is read again."""
CLOCK_SKEW = 5.0
"""Seconds by which our clocks and Slack's may differ."""
MAX_CONNECT_DELAY = 10.0

OnRemoved = Callable[[str], Awaitable[None]]
"""Awaited with the workspace from which the app was removed."""
NewClient = Callable[[str | None], AsyncWebClient]
"""Makes a Web API client for a token, or without one for methods that need none."""


class WorkspaceResolver(Protocol):
    """Finds the Slack client of a workspace."""

    async def client_for(self, team: str) -> SlackClient:
        """Raises NotInstalled, StorageError."""
        ...

    def shows_pictures(self, team: str) -> bool:
        """Whether the app may show pictures there, as far as is known."""
        ...

    async def authorize(
        self, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        """Tells Bolt which bot user serves the workspace of a request; None if the app is not installed there. Raises
        StorageError.
        """
        ...

    async def on_uninstalled(
        self, enterprise_id: str | None, team_id: str | None, at: float | None
    ) -> None:
        """The app was uninstalled, or its token revoked, at this time (Unix time). Raises StorageError."""
        ...


@dataclass(frozen=True)
class SlackClients:
    """Makes the Slack client of a workspace, each with its own call dispatcher."""

    client: NewClient
    session: aiohttp.ClientSession
    metrics: Metrics
    claims: ActionClaims
    shared_limits: SharedRateLimiter | None = None
    timing: Timing = Timing()
    rates: Mapping[str, Rate] = field(default_factory=lambda: RATES)

    async def from_token(self, token: str) -> SlackClient:
        """Asks Slack whose token this is. Raises SlackApiError, aiohttp.ClientError, TimeoutError."""
        who = await self.client(token).auth_test()
        url, bot_user = str(who.get("url") or ""), str(who["user_id"])
        organisation = str(who.get("enterprise_id") or "")
        installed = Installation(organisation, "", bot_user, token, who.get("bot_id"), url)
        slack = self.open(str(who["team_id"]), installed)
        slack.granted.note(who.headers)
        return slack

    def open(
        self, team: str, installed: Installation, dispatcher: CallDispatcher | None = None
    ) -> SlackClient:
        """A client for this workspace. `dispatcher`: the one of an earlier client, whose token buckets stay valid."""
        return SlackClient(
            self.client(installed.bot_token),
            team=team,
            bot_user=installed.bot_user,
            bot_id=installed.bot_id,
            url=installed.url or "https://slack.com/",
            organisation=installed.enterprise,
            dispatcher=dispatcher
            or CallDispatcher(
                WriteScheduler(self.rates),
                shared_limits=self.shared_limits.of(team)
                if self.shared_limits is not None
                else None,
            ),
            metrics=self.metrics,
            claims=self.claims,
            timing=self.timing,
            session=self.session,
        )


class SingleWorkspace:
    """The one workspace whose token is in the settings."""

    def __init__(self, only: SlackClient, token: str, on_removed: OnRemoved | None = None) -> None:
        self.only = only
        self._token = token
        self._on_removed = on_removed
        self.serves: Serves = only_team(only.team)

    @classmethod
    async def open(
        cls, slack_clients: SlackClients, token: str, on_removed: OnRemoved | None = None
    ) -> SingleWorkspace:
        """Asks Slack who the bot is, until Slack responds. Raises SettingsError for a token that Slack rejects."""
        pause = 0.5
        while True:
            try:
                return cls(await slack_clients.from_token(token), token, on_removed)
            except SlackApiError as error:
                code = error_code(error)
                if code in INVALID_TOKEN_CODES:
                    raise SettingsError(
                        f"SLACK_BOT_TOKEN is refused by Slack ({code}): "
                        "copy it again from the app's OAuth & Permissions"
                    ) from error
                log.warning("slack_not_ready", reason=code or NOT_SLACK)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = explain(error) or str(error) or type(error).__name__
                log.warning("slack_unreachable", reason=reason)
            await asyncio.sleep(pause)
            pause = min(MAX_CONNECT_DELAY, pause * 2)

    async def client_for(self, team: str) -> SlackClient:
        return self.only

    def shows_pictures(self, team: str) -> bool:
        return self.only.granted.may_upload

    async def authorize(
        self, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        return _identity(self.only, self._token, enterprise_id)

    async def on_uninstalled(
        self, enterprise_id: str | None, team_id: str | None, at: float | None
    ) -> None:
        if self._on_removed is not None:
            await self._on_removed(self.only.team)
        log.error(
            "token_revoked", advice="install the app again and set SLACK_BOT_TOKEN to its new token"
        )


@dataclass(slots=True)
class _CachedInstallation:
    """An installation in memory, with its client."""

    slack: SlackClient
    token: str = field(repr=False)
    checked_at: float
    stored_enterprise: str | None = None
    """The organisation stored for this workspace, as far as is known."""


class InstalledWorkspaces:
    """The workspaces that have installed the app, cached: each is read from the database once a minute at most.

    A minute is too long after a token has changed, so the replica that notices informs the others
    (`following_changes`).

    If an installation cannot be re-read, the cached one stays in use: listeners report themselves that the database is
    down, and another replica may have encrypted the token with a key that this one does not have yet.
    """

    def __init__(
        self, installations: Installations, slack_clients: SlackClients, publisher: EventPublisher
    ) -> None:
        self.serves: Serves = installed_teams
        self._installations = installations
        self._slack_clients = slack_clients
        self._publisher = publisher
        self._cache_ttl = slack_clients.timing.installation_cache_ttl
        self._cache: dict[str, _CachedInstallation] = {}
        self._locks: KeyedLocks[str] = KeyedLocks()

    async def client_for(self, team: str) -> SlackClient:
        return (await self._find(team, None)).slack

    def shows_pictures(self, team: str) -> bool:
        known = self._cache.get(team)
        return known is None or known.slack.granted.may_upload

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
        if enterprise_id and not _is_enterprise(team) and known.stored_enterprise != enterprise_id:
            # Needed for messages that are not a response to an event, which would name the organisation.
            await self._installations.remember_organisation(team, enterprise_id)
            known.stored_enterprise = enterprise_id
        return _identity(known.slack, known.token, enterprise_id)

    async def on_uninstalled(
        self, enterprise_id: str | None, team_id: str | None, at: float | None
    ) -> None:
        before = None if at is None else datetime.fromtimestamp(at + CLOCK_SKEW, UTC)
        if await self._installations.remove(team_id, enterprise_id, before):
            log.warning("uninstalled", team=team_id, enterprise=enterprise_id)
            self._publisher.access_changed(team_id)
        self._expire_all()
        self._publisher.recheck_installations()

    def on_installed(self, installed: Installation) -> None:
        """The app was installed, so there is a new token."""
        self._expire_all()
        self._publisher.recheck_installations()

    @asynccontextmanager
    async def following_changes(self, coordination: Coordination) -> AsyncIterator[None]:
        """While this is open, installations changed by other replicas take effect here immediately."""
        task = asyncio.create_task(self._follow(coordination), name="installations")
        async with cancelled_on_leaving(task):
            yield

    async def _follow(self, coordination: Coordination) -> None:
        async with coordination.subscribe(INSTALLATION_TOPIC) as signals:
            async for _ in signals:
                self._expire_all()

    def _expire_all(self) -> None:
        for known in self._cache.values():
            known.checked_at = float("-inf")

    async def _find(self, team: str, enterprise: str | None) -> _CachedInstallation:
        known = self._cache.get(team)
        if known is not None and time.monotonic() - known.checked_at < self._cache_ttl:
            return known
        async with self._locks[team]:
            known = self._cache.get(team)
            if known is not None and time.monotonic() - known.checked_at < self._cache_ttl:
                return known
            return await self._read(team, enterprise, known)

    async def _read(
        self, team: str, enterprise: str | None, known: _CachedInstallation | None
    ) -> _CachedInstallation:
        try:
            if _is_enterprise(team):  # some views contain it instead of the workspace
                found = await self._installations.find(None, team)
            else:
                found = await self._installations.find(team, enterprise)
        except StorageError as error:
            if known is None:
                raise
            log.warning("installation_not_read", team=team, reason=str(error))
            known.checked_at = time.monotonic() - self._cache_ttl + INSTALLATION_RETRY_DELAY
            return known
        if found is None:
            self._cache.pop(team, None)
            raise NotInstalled(team)
        if known is None or known.token != found.bot_token:
            slack = self._slack_clients.open(
                team, found, known.slack.dispatcher if known is not None else None
            )
            known = self._cache[team] = _CachedInstallation(slack, found.bot_token, 0.0)
        known.checked_at = time.monotonic()
        return known


def _is_enterprise(id: str) -> bool:
    return id.startswith("E")


def _identity(slack: SlackClient, token: str, enterprise: str | None) -> AuthorizeResult:
    return AuthorizeResult(
        enterprise_id=enterprise,
        team_id=slack.team,
        bot_user_id=slack.bot_user,
        bot_id=slack.bot_id,
        bot_token=token,
    )
