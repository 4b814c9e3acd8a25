"""What one workspace's replicas do once, such as telling a person something; when in doubt, twice rather than never."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from bot.errors import StorageError
from bot.observability import get_logger
from storage.action_claims import ActionClaims

log = get_logger(__name__)


class TeamClaims:
    """The `ActionClaims` of one workspace. No method raises: while the database is down, nothing is stored."""

    def __init__(self, claims: ActionClaims, team: str) -> None:
        self._claims = claims
        self._team = team

    async def is_first(self, *what: str, within: float) -> bool:
        """Whether no replica has done this in the last `within` seconds; if so, it counts as done now.

        True while the database is down.
        """
        try:
            return await self._claims.claim(self._team, *what, seconds=within)
        except StorageError as error:
            log.warning("claim_unknown", reason=str(error))
            return True

    async def is_done(self, *what: str, within: float) -> bool:
        """Whether what a replica got by `is_first`, with the same `within`, is recorded as done.

        False while the database is down.
        """
        try:
            return await self._claims.is_done(self._team, *what, seconds=within)
        except StorageError as error:
            log.warning("claim_unknown", reason=str(error))
            return False

    async def keep(self, *what: str, within: float) -> None:
        """Records that what `is_first` granted to the caller is done; this counts for `within` seconds."""
        try:
            await self._claims.keep(self._team, *what, seconds=within)
        except StorageError as error:
            log.warning("claim_not_kept", reason=str(error))

    def renewing(self, *what: str, within: float) -> AbstractAsyncContextManager[None]:
        """The block does what `is_first` granted to the caller, however long it takes; until then nobody else gets it.

        `within` seconds after the process was killed, somebody else does.
        """
        return self._claims.renewing(self._team, *what, seconds=within)
