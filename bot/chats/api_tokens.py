"""Tokens for the HTTP API: a user issues and revokes them with `/chats token`."""

from __future__ import annotations

from bot import audit
from bot.answers.events import EventPublisher
from bot.audit import Action
from bot.domain import User
from storage.tokens import Tokens


class ApiTokens:
    def __init__(self, tokens: Tokens, publisher: EventPublisher) -> None:
        self._tokens = tokens
        self._publisher = publisher

    async def issue(self, user: User) -> str:
        """A new token. It is stored as a digest only, so it cannot be shown again."""
        token = await self._tokens.issue(user)
        audit.record_by(user, Action.TOKEN_ISSUED)
        return token

    async def revoke(self, user: User) -> bool:
        """Revokes all tokens of the user and ends the connections that use them; False if there are none."""
        revoked = await self._tokens.revoke(user)
        self._publisher.recheck_tokens(user.team)
        if revoked:
            audit.record_by(user, Action.TOKENS_REVOKED, count=revoked)
        return bool(revoked)
