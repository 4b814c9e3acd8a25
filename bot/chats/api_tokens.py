"""Tokens for the HTTP API: a user issues, lists and revokes them with `/chats token`, and some events end them."""

from __future__ import annotations

from datetime import timedelta

from bot import audit
from bot.answers.events import EventPublisher
from bot.audit import Action
from bot.domain import User
from storage.tokens import TokenInfo, Tokens


class ApiTokens:
    """The use cases of API tokens. All raise StorageError when the database fails."""

    def __init__(
        self, tokens: Tokens, publisher: EventPublisher, longest_life: timedelta | None = None
    ) -> None:
        """`longest_life`: how long a token lives unless its user wants less; None: for ever."""
        self._tokens = tokens
        self._publisher = publisher
        self._longest_life = longest_life

    async def issue(self, user: User, life: timedelta | None = None) -> str:
        """A new token. It is stored as a digest only, so it cannot be shown again."""
        wanted = [each for each in (life, self._longest_life) if each is not None]
        token = await self._tokens.issue(user, valid_for=min(wanted, default=None))
        audit.record_by(user, Action.TOKEN_ISSUED)
        return token

    async def listed(self, user: User) -> list[TokenInfo]:
        """The user's valid tokens, the newest first."""
        return await self._tokens.listed(user)

    async def user_of(self, token: str) -> User | None:
        """The user of a token; None for an unknown, expired or revoked one."""
        return await self._tokens.user_of(token)

    async def revoke(self, user: User) -> bool:
        """Revokes all tokens of the user and ends the connections that use them; False if there are none."""
        revoked = await self._tokens.revoke(user)
        self._publisher.access_changed(user.team, user.id)
        if revoked:
            audit.record_by(user, Action.TOKENS_REVOKED, count=revoked)
        return bool(revoked)

    async def end_for_deactivated(self, user: User) -> None:
        """The account is deactivated: its tokens end, in every workspace of its organisation."""
        if ended := await self._tokens.revoke_account(user):
            audit.record(Action.TOKENS_REVOKED, team=user.team, target=user.id, count=ended)
        self._publisher.access_changed(None, user.id)

    async def end_for_workspace(self, team: str) -> None:
        """The app was removed from the workspace: all tokens that were made there end."""
        if ended := await self._tokens.revoke_workspace(team):
            audit.record(Action.TOKENS_REVOKED, team=team, target=team, count=ended)
        self._publisher.access_changed(team)
