"""What Slack says about accounts: who is a member, a guest, from another organisation, deactivated, an admin.

Responses are cached. A cached one is used immediately, and refreshed in the background when it is old.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.access.access_control import Person
from bot.access.rules import Standing, standing_by_own_team
from bot.answers.events import ACCESS_TOPIC
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from bot.runtime.tasks import Tasks, cancelled_on_leaving
from bot.timing import Timing
from handlers.client.errors import NotInstalled, SlackError
from handlers.client.workspaces import WorkspaceResolver
from storage.coordination import Coordination

log = get_logger(__name__)

MAX_REMEMBERED = 20_000
RESUBSCRIBE_DELAY = 1.0
"""Seconds before reopening a lost subscription."""
UNKNOWN = Person()


@dataclass(frozen=True, slots=True)
class _Known:
    person: Person
    at: float
    """When Slack said so, by the monotonic clock."""


class SlackPeople:
    """Looks up accounts with `users.info`."""

    def __init__(
        self, workspaces: WorkspaceResolver, tasks: Tasks, timing: Timing = Timing()
    ) -> None:
        self._workspaces = workspaces
        self._tasks = tasks
        self._timing = timing
        self._known: OrderedDict[User, _Known] = OrderedDict()
        self._lookups: dict[User, asyncio.Task[None]] = {}

    async def find(self, user: User) -> Person:
        """What is known about the account. Waits for Slack for at most `Timing.person_timeout`, and never raises."""
        known = self._known.get(user)
        age = time.monotonic() - known.at if known else float("inf")
        if known is not None and age < self._timing.person_renewal_age:
            return known.person
        lookup = self._look_up_in_background(user)
        if known is None or age > self._timing.person_max_age:
            await asyncio.wait([lookup], timeout=self._timing.person_timeout)
        known = self._known.get(user)
        return known.person if known is not None else UNKNOWN

    def differs(self, user: User, person: Person) -> bool:
        """Whether this differs from what is known about the account here, or may be known in another replica."""
        known = self._known.get(user)
        return person.standing is not Standing.MEMBER or (
            known is not None and known.person != person
        )

    @asynccontextmanager
    async def following_changes(self, coordination: Coordination) -> AsyncIterator[None]:
        """While this is open, what any replica learns about an account takes effect here immediately."""
        task = self._tasks.repeat(
            partial(self._follow, coordination), RESUBSCRIBE_DELAY, name="changed accounts"
        )
        async with cancelled_on_leaving(task):
            yield

    async def _follow(self, coordination: Coordination) -> None:
        async with coordination.subscribe(ACCESS_TOPIC) as signals:
            async for signal in signals:
                self._forget(signal.event["team"], signal.event.get("user"))

    def _forget(self, team: str | None, user: str | None) -> None:
        if user is None:
            return
        for known in [
            each for each in self._known if each.id == user and team in (None, each.team)
        ]:
            del self._known[known]

    def _look_up_in_background(self, user: User) -> asyncio.Task[None]:
        task = self._lookups.get(user)
        if task is None:
            task = self._lookups[user] = self._tasks.start(self._look_up(user), name="person")
            task.add_done_callback(lambda _: self._lookups.pop(user, None))
        return task

    async def _look_up(self, user: User) -> None:
        max_wait = self._timing.user_lookup_timeout
        try:
            slack = await self._workspaces.client_for(user.team)
            answer = await slack.call_with_retry("users.info", max_wait=max_wait, user=user.id)
        except (SlackError, NotInstalled, StorageError) as error:
            log.info("person_unknown", reason=str(error) or type(error).__name__)
            return
        self._keep(user, person_of(answer.get("user") or {}, user.team, slack.organisation))

    def _keep(self, user: User, person: Person) -> None:
        self._known[user] = _Known(person, time.monotonic())
        self._known.move_to_end(user)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)


def person_of(account: Mapping[str, Any], home_team: str, organisation: str) -> Person:
    """What Slack's user object says about the account in the workspace `home_team`.

    `organisation`: that of the workspace; empty if it belongs to none.
    """
    in_organisation = account.get("enterprise_user")
    of_org: Mapping[str, Any] = in_organisation if isinstance(in_organisation, dict) else {}
    standing = _standing(account, of_org, home_team, organisation)
    marks = ("is_admin", "is_owner", "is_primary_owner")
    is_admin = any(account.get(mark) or of_org.get(mark) for mark in marks)
    return Person(standing, is_admin and standing is Standing.MEMBER)


def _standing(
    account: Mapping[str, Any], of_org: Mapping[str, Any], home_team: str, organisation: str
) -> Standing:
    if account.get("deleted"):
        return Standing.DEACTIVATED
    if account.get("is_stranger"):
        return Standing.OUTSIDER
    teams = (account.get("team_id"), of_org.get("enterprise_id"), *(of_org.get("teams") or ()))
    standings = {standing_by_own_team(team, home_team, organisation) for team in teams if team}
    if Standing.MEMBER in standings:
        is_guest = account.get("is_restricted") or account.get("is_ultra_restricted")
        return Standing.GUEST if is_guest else Standing.MEMBER
    # Slack names the organisation of everybody who is in one, so a different workspace without one is another
    # organisation.
    return Standing.OUTSIDER if standings else Standing.UNKNOWN
