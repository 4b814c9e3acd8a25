"""Fills the search index in the background, because it would take too long during a database upgrade."""

from __future__ import annotations

import asyncio

from bot.observability import get_logger
from storage.action_claims import ActionClaims
from storage.search_index import SearchIndex

log = get_logger(__name__)

PAUSE = 0.05
"""Seconds between two transactions, which let everything else run."""
CLAIM = "search index"
CLAIM_SECONDS = 60.0
"""Seconds by which the claim outlasts a killed process; then another one continues."""


class IndexFilling:
    """Fills the search index, in one replica at a time. Progress is in the database, so it may be interrupted at any
    time.
    """

    def __init__(self, index: SearchIndex, claims: ActionClaims) -> None:
        self._index = index
        self._claims = claims
        self._complete = not index.exists

    async def run(self) -> None:
        """Fills what is missing, unless another replica is doing so. Triggers maintain the index once it is
        complete.
        """
        if self._complete or not await self._claims.claim(CLAIM, seconds=CLAIM_SECONDS):
            return
        try:
            async with self._claims.renewing(CLAIM, seconds=CLAIM_SECONDS):
                await self._fill()
        finally:
            await self._claims.release(CLAIM)

    async def _fill(self) -> None:
        person, count = ("", ""), 0
        while (found := await self._index.next_person(person)) is not None:
            person = found
            while indexed := await self._index.index_some(*person):
                count += indexed
                await asyncio.sleep(PAUSE)
        self._complete = True
        if count:
            log.info("search_index_filled", chats=count)
