"""Completes in the background what an upgrade of the database would take too long for: the search index."""

from __future__ import annotations

import asyncio

from bot.observability import get_logger
from storage.action_claims import ActionClaims
from storage.search_index import SearchIndex

log = get_logger(__name__)

PAUSE = 0.05
"""Seconds between two transactions, in which everything else has its turn."""
CLAIM = "search index"
CLAIM_SECONDS = 60.0
"""How long the claim outlasts a killed process; another one then goes on."""


class IndexFilling:
    """Fills the search index, by one replica at a time. What is done is in the database: it may end at any moment."""

    def __init__(self, index: SearchIndex, claims: ActionClaims) -> None:
        self._index = index
        self._claims = claims
        self._complete = not index.exists

    async def run(self) -> None:
        """Fills what is not filled, unless another replica is at it. Triggers keep the index once it is complete."""
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
