"""Who is asking: one place for tokens and for how often they may be used."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from bot.api.errors import too_many_requests, unauthorized
from bot.chats.feed_events import FeedSubscription
from bot.domain import User
from bot.errors import StorageError
from bot.observability import get_logger
from storage.coordination import Coordination
from storage.tokens import Tokens

log = get_logger(__name__)

PER_MINUTE = 120
"""Requests that one token may make in a minute, and at once after a quiet one."""
LONGEST_TOKEN = 500
ASK_AGAIN = 30.0
"""Seconds between two looks whether a listener's token is still valid, if nobody tells that it has ended."""

bearer = HTTPBearer(auto_error=False, description="A token from `/chats token` in Slack.")


def token_of(headers: Headers) -> str | None:
    """The token that a request brings."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class Gate:
    """A dependency of every route: gives the person whom the token names."""

    def __init__(
        self, tokens: Tokens, coordination: Coordination, per_minute: int = PER_MINUTE
    ) -> None:
        self._tokens, self._coordination, self._per_minute = tokens, coordination, per_minute

    async def __call__(
        self, credentials: HTTPAuthorizationCredentials | None = Depends(bearer)
    ) -> User:
        return await self.admit(credentials.credentials if credentials else None)

    async def admit(self, token: str | None) -> User:
        """Raises ApiError: 401 for no valid token, 429 for one that is used too often."""
        user = await self.known(token)
        if user is None:
            raise unauthorized()
        await self._count(token or "")
        return user

    async def known(self, token: str | None) -> User | None:
        """Whom the token names; None when it is none of ours (any more)."""
        if not token or len(token) > LONGEST_TOKEN:
            return None
        return await self._tokens.user_of(token)

    @asynccontextmanager
    async def guarding(self, listener: FeedSubscription, token: str) -> AsyncIterator[None]:
        """While this is open, the listener is cut off as soon as the token no longer names its person."""
        task = asyncio.create_task(self._guard(listener, token), name="token guard")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _guard(self, listener: FeedSubscription, token: str) -> None:
        while True:
            try:
                async with asyncio.timeout(ASK_AGAIN):
                    await listener.recheck_due.wait()
            except TimeoutError:
                pass
            listener.recheck_due.clear()
            try:
                # Shielded: a query cancelled in its middle would leave a connection behind.
                if await asyncio.shield(self.known(token)) != listener.user:
                    listener.revoke()
                    return
            except StorageError as error:
                log.info("token_not_checked", reason=str(error))

    async def _count(self, token: str) -> None:
        key = f"api:{hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}"
        try:
            grant = await self._coordination.acquire(key, self._per_minute / 60, self._per_minute)
        except (
            StorageError
        ):  # the limit is there against floods; without Redis there is none, and people are served
            return
        if not grant.granted:
            raise too_many_requests(grant.wait)
