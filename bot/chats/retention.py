"""Erases chats and people, and removes chats after their retention period, in batches that let other work run."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

from bot import audit
from bot.domain import User
from bot.observability import get_logger
from storage.action_claims import ActionClaims
from storage.engine.types import utc_now
from storage.erasure import Erasure, Selection

log = get_logger(__name__)

BATCH = 20
"""Chats, or rows of other tables, that are removed in one transaction."""
CHATS_AT_ONCE = 500
"""Chats that are examined in one read."""
PAUSE = 0.05
"""Seconds between two transactions, which let everything else run."""
STOP_INTERVAL = 0.5
"""Seconds between two checks whether answers that are to be removed have ended."""
STOP_LOOKS = 12
"""Checks after which they are removed anyway; a worker notices within two seconds that it is to stop."""
CLAIM = "keep"
CLAIM_SECONDS = 60.0
"""Seconds by which the claim on a night's work outlasts a killed process."""


class Eraser:
    """Removes what a selection covers. It cannot remove messages in Slack."""

    def __init__(self, erasure: Erasure) -> None:
        self._erasure = erasure

    async def erase(self, selection: Selection) -> Counter[str]:
        """Removes everything; returns how much it was. Safe to repeat after a failure."""
        gone: Counter[str] = Counter()
        await self._complete_quotes()  # while the chats exist from which others have them
        after = ""
        while ids := await self._erasure.next_chats(selection, after, BATCH):
            gone["chats"] += await self._remove(selection, ids)
            after = ids[-1]
        while count := await self._erasure.remove_requests(selection, BATCH):
            gone["questions"] += count
            await asyncio.sleep(PAUSE)
        if (user := selection.user) is not None:
            while count := await self._erasure.empty_messages(user, BATCH):
                gone["messages of others' chats"] += count
                await asyncio.sleep(PAUSE)
        # From here on no answer's call is recorded as the person's, so all recorded ones are found.
        for anonymise in (self._erasure.anonymise_calls, self._erasure.anonymise_days):
            while count := await anonymise(selection, BATCH):
                gone["calls made anonymous"] += count
                await asyncio.sleep(PAUSE)
        if user is not None:
            await self._forget_traces(user)
            await self._erasure.forget_person(user)
        audit.record(
            audit.Action.ERASED,
            team=user.team if user else None,
            target=user.id if user else "",
            chats=gone["chats"],
        )
        return gone

    async def _complete_quotes(self) -> None:
        last: str | None = ""
        while last is not None:
            last = await self._erasure.complete_quotes(last, CHATS_AT_ONCE)

    async def _forget_traces(self, user: User) -> None:
        more = BATCH
        while more:
            more = await self._erasure.forget_quotes_in_requests(user, BATCH)
            await asyncio.sleep(PAUSE)
        last: str | None = ""
        while last is not None:
            last = await self._erasure.forget_traces(user, last, CHATS_AT_ONCE)

    async def _remove(self, selection: Selection, ids: list[str]) -> int:
        for _ in range(
            STOP_LOOKS
        ):  # an answer that is being written ends in Slack like a stopped one
            if not await self._erasure.stop_answers(ids):
                break
            await asyncio.sleep(STOP_INTERVAL)
        count = await self._erasure.remove_chats(selection, ids)
        await asyncio.sleep(PAUSE)
        return count


class RetentionJob:
    """Removes chats that have been unused for the retention period, once a day and in one replica."""

    def __init__(self, eraser: Eraser, claims: ActionClaims, keep: timedelta) -> None:
        self._eraser = eraser
        self._claims = claims
        self._keep = keep

    async def run(self) -> None:
        """Does this day's work, unless it is done or another replica is doing it."""
        now = utc_now()
        what = (CLAIM, f"{now:%Y-%m-%d}")
        if not await self._claims.claim(*what, seconds=CLAIM_SECONDS):
            return
        async with self._claims.renewing(*what, seconds=CLAIM_SECONDS):
            gone = await self._eraser.erase(Selection(before=now - self._keep))
        await self._claims.keep(*what)
        log.info("old_chats_removed", chats=gone["chats"])
