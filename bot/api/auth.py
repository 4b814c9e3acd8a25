"""Authenticates API clients by their tokens, and limits how often each token may be used."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi.security import HTTPBearer
from starlette.datastructures import Headers

from bot.api.errors import too_many_requests, unauthorized
from bot.chats.feed_events import FeedSubscription
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from storage.coordination import Coordination
from storage.tokens import Tokens

log = get_logger(__name__)

MAX_REQUESTS_PER_MINUTE = 120
"""Per token. After a quiet minute, all of them may come at once."""
MAX_TOKEN_LENGTH = 500

bearer = HTTPBearer(auto_error=False, description="A token from `/chats token` in Slack.")


def bearer_token(headers: Headers) -> str | None:
    """The token in the Authorization header of a request."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class Authenticator:
    """Finds the user to whom a token belongs, for every request and for as long as a subscription is open."""

    def __init__(
        self,
        *,
        tokens: Tokens,
        coordination: Coordination,
        requests_per_minute: int,
        recheck_interval: float,
    ) -> None:
        """`recheck_interval`: seconds between two checks of the token of an open subscription."""
        self._tokens = tokens
        self._coordination = coordination
        self._requests_per_minute = requests_per_minute
        self._recheck_interval = recheck_interval

    async def authenticate(self, token: str | None) -> User:
        """Raises ApiError: 401 without a valid token, 429 when it is used too often."""
        user = await self._user_of(token)
        if user is None:
            raise unauthorized()
        await self._count_request(token or "")
        return user

    async def _user_of(self, token: str | None) -> User | None:
        if not token or len(token) > MAX_TOKEN_LENGTH:
            return None
        return await self._tokens.user_of(token)

    @asynccontextmanager
    async def enforcing(self, subscription: FeedSubscription, token: str) -> AsyncIterator[None]:
        """While this is open, the subscription is revoked as soon as its token is no longer valid."""
        task = asyncio.create_task(self._recheck(subscription, token), name="token recheck")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _recheck(self, subscription: FeedSubscription, token: str) -> None:
        while True:
            try:
                async with asyncio.timeout(self._recheck_interval):
                    await subscription.recheck_due.wait()
            except TimeoutError:
                pass
            subscription.recheck_due.clear()
            try:
                # Shielded: cancelling a query would leave its connection behind.
                if await asyncio.shield(self._user_of(token)) != subscription.user:
                    subscription.revoke()
                    return
            except StorageError as error:
                log.info("token_not_checked", reason=str(error))

    async def _count_request(self, token: str) -> None:
        key = f"api:{hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}"
        try:
            grant = await self._coordination.acquire(
                key, self._requests_per_minute / 60, self._requests_per_minute
            )
        except StorageError:
            return  # the limit only protects against floods: without Redis, requests are served unlimited
        if not grant.granted:
            raise too_many_requests(grant.wait)
