"""Authenticates API clients by their tokens, applies the access rules, and limits how often each person may ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi.security import HTTPBearer
from starlette.datastructures import Headers

from bot.access.access_control import AccessControl, Actor
from bot.access.rules import Standing, Verdict
from bot.api.errors import not_allowed, too_many_requests, unauthorized
from bot.chats.api_service import ApiService
from bot.chats.api_tokens import ApiTokens
from bot.chats.feed_events import Denial, FeedSubscription
from bot.domain import User
from bot.errors import ChatError, StorageError
from bot.observability import get_logger
from bot.runtime.tasks import cancelled_on_leaving
from storage.coordination import Coordination

log = get_logger(__name__)

MAX_REQUESTS_PER_MINUTE = 120
"""Per person, across all their tokens. After a quiet minute, all of them may come at once."""
MAX_TOKEN_LENGTH = 500

bearer = HTTPBearer(auto_error=False, description="A token from `/chats token` in Slack.")


def bearer_token(headers: Headers) -> str | None:
    """The token in the Authorization header of a request."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class Authenticator:
    """Finds a token's user, for every request and for as long as a subscription is open."""

    def __init__(
        self,
        *,
        tokens: ApiTokens,
        access_control: AccessControl,
        service: ApiService,
        coordination: Coordination,
        requests_per_minute: int,
        recheck_interval: float,
    ) -> None:
        """`recheck_interval`: seconds between two checks whether an open subscription may stay open."""
        self._tokens = tokens
        self._access_control = access_control
        self._service = service
        self._coordination = coordination
        self._requests_per_minute = requests_per_minute
        self._recheck_interval = recheck_interval

    async def authenticate(self, token: str | None) -> User:
        """Raises ApiError: 401 without a valid token, 403 if its user may not use Bobbin, 429 if they send too many
        requests.
        """
        user = await self._user_of(token)
        if user is None:
            raise unauthorized()
        await self._count_request(user)
        verdict = await self._verdict(user)
        if verdict is Verdict.DEACTIVATED:
            raise unauthorized()
        if verdict is not Verdict.ALLOWED:
            raise not_allowed(verdict)
        return user

    async def _user_of(self, token: str | None) -> User | None:
        if not token or len(token) > MAX_TOKEN_LENGTH:
            return None
        return await self._tokens.stored.user_of(token)

    async def _verdict(self, user: User) -> Verdict:
        """The verdict of the rules. The tokens of somebody who turns out to be deactivated end."""
        # Only people who passed the rules in Slack got a token; while Slack does not respond, that still counts.
        actor = Actor(user, standing=Standing.MEMBER, in_slack=False)
        verdict = await self._access_control.verdict(actor)
        if verdict is Verdict.DEACTIVATED:
            await self._tokens.end_for_deactivated(user)
        return verdict

    @asynccontextmanager
    async def enforcing(
        self, subscription: FeedSubscription, token: str, chat_id: str | None = None
    ) -> AsyncIterator[None]:
        """While this is open, the subscription is revoked as soon as the client may no longer subscribe.

        `chat_id`: the only chat that the client follows.
        """
        task = asyncio.create_task(self._recheck(subscription, token, chat_id), name="recheck")
        async with cancelled_on_leaving(task):
            yield

    async def _recheck(
        self, subscription: FeedSubscription, token: str, chat_id: str | None
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(self._recheck_interval):
                    await subscription.recheck_due.wait()
            except TimeoutError:
                pass
            subscription.recheck_due.clear()
            try:
                # Shielded: cancelling a query would leave its connection behind.
                denial = await asyncio.shield(self._denial(subscription.user, token, chat_id))
            except StorageError as error:
                log.info("access_not_checked", reason=str(error))
                continue
            if denial is not None:
                subscription.revoke(denial)
                return

    async def _denial(self, user: User, token: str, chat_id: str | None) -> Denial | None:
        """Why the client may no longer subscribe; None if it may. Raises StorageError."""
        if await self._user_of(token) != user:
            return Denial.TOKEN
        verdict = await self._verdict(user)
        if verdict is Verdict.DEACTIVATED:
            return Denial.TOKEN
        if verdict not in (Verdict.ALLOWED, Verdict.UNKNOWN):  # Slack may be down for a while
            return Denial.PERSON
        try:
            if chat_id is not None:
                await self._service.chat(user, chat_id)
        except ChatError:
            return Denial.CHAT
        return None

    async def _count_request(self, user: User) -> None:
        try:
            grant = await self._coordination.acquire(
                f"api:{user.team}:{user.id}",
                self._requests_per_minute / 60,
                self._requests_per_minute,
            )
        except StorageError:
            return  # the limit only protects against floods: without Redis, requests are served unlimited
        if not grant.granted:
            raise too_many_requests(grant.wait)
