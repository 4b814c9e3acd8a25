"""API tokens: users issue, list and revoke them with `/chats token`, and some events end them."""

from __future__ import annotations

from datetime import timedelta

from bot import audit
from bot.answers.events import EventPublisher
from bot.audit import Action
from bot.domain import User
from storage.api_tokens import Tokens


class ApiTokens:
    """The use cases of API tokens. All raise StorageError when the database fails."""

    def __init__(
        self, tokens: Tokens, publisher: EventPublisher, longest_life: timedelta | None = None
    ) -> None:
        """`longest_life`: how long a token is valid unless its user wants less; None: for ever."""
        self.stored = tokens
        """For reading: which tokens there are, and whose."""
        self._publisher = publisher
        self._longest_life = longest_life

    async def issue(self, user: User, life: timedelta | None = None) -> str:
        """Issues a new token. Only its digest is stored, so it cannot be shown again."""
        wanted = [each for each in (life, self._longest_life) if each is not None]
        token = await self.stored.issue(user, valid_for=min(wanted, default=None))
        audit.record_by(user, Action.TOKEN_ISSUED)
        return token

    async def revoke(self, user: User) -> bool:
        """Revokes all tokens of the user and ends the connections that use them; False if there are none."""
        revoked = await self.stored.revoke(user)
        self._publisher.access_changed(user.team, user.id)
        if revoked:
            audit.record_by(user, Action.TOKENS_REVOKED, count=revoked)
        return bool(revoked)

    async def end_for_deactivated(self, user: User) -> None:
        """The account was deactivated: its tokens end, in every workspace of its organisation."""
        if ended := await self.stored.revoke_account(user):
            audit.record(Action.TOKENS_REVOKED, team=user.team, target=user.id, count=ended)
        self._publisher.access_changed(None, user.id)

    async def end_for_workspace(self, team: str) -> None:
        """The app was removed from the workspace: all tokens issued there end."""
        if ended := await self.stored.revoke_workspace(team):
            audit.record(Action.TOKENS_REVOKED, team=team, target=team, count=ended)
        self._publisher.access_changed(team)
