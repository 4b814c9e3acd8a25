"""The reaction ⏳ on messages whose answer waits for an earlier one: added while they wait, removed once it begins."""

from __future__ import annotations

import asyncio

from bot.errors import StorageError
from bot.runtime.tasks import Tasks
from handlers.client.web_api import SlackClient
from storage.answers import Answers

REACTION = "hourglass_flowing_sand"
MAX_TRACKED = 1_000
"""Reactions that a process remembers. It still removes older ones, but does not wait until they have been added."""
STORAGE_RETRY_DELAY = 0.5
"""Seconds before asking a database again that failed."""


class QueuedReactions:
    """Adds and removes the reaction, always in that order, however soon the answer begins."""

    def __init__(self, answers: Answers, tasks: Tasks) -> None:
        self._answers = answers
        self._tasks = tasks
        self._adding: dict[str, asyncio.Task[bool]] = {}

    def add(self, slack: SlackClient, channel: str, ts: str, answer_id: str) -> None:
        """Marks the message `ts` whose answer waits. Returns immediately."""
        if answer_id in self._adding:
            return
        while len(self._adding) >= MAX_TRACKED:
            self._adding.pop(next(iter(self._adding)))
        self._adding[answer_id] = self._tasks.start(
            self._add(slack, channel, ts, answer_id), name="queued reaction"
        )

    async def remove(self, slack: SlackClient, channel: str, ts: str, answer_id: str) -> str | None:
        """Removes the reaction when the answer begins; returns why that failed, like `try_call_error`.

        A reaction unknown to this process may have been added by another one.
        """
        if (adding := self._adding.get(answer_id)) is not None:
            await asyncio.wait([adding])
            self._adding.pop(answer_id, None)
            if adding.cancelled() or adding.exception() or not adding.result():
                return None
        return await slack.try_call_error(
            "reactions.remove", channel=channel, timestamp=ts, name=REACTION
        )

    async def _add(self, slack: SlackClient, channel: str, ts: str, answer_id: str) -> bool:
        """Whether the message has the reaction afterwards."""
        if not await self._answers.is_waiting(answer_id):
            return False
        if not await slack.try_call("reactions.add", channel=channel, timestamp=ts, name=REACTION):
            return False
        if answer_id in self._adding and not await self._still_waits(answer_id):
            # Another process began the answer before the reaction was there, so it did not remove it.
            await slack.try_call("reactions.remove", channel=channel, timestamp=ts, name=REACTION)
            return False
        return True

    async def _still_waits(self, answer_id: str) -> bool:
        """Repeats the question until the database responds, so that no reaction is left behind when the database
        restarts.
        """
        while True:
            try:
                return await self._answers.is_waiting(answer_id)
            except StorageError:
                await asyncio.sleep(STORAGE_RETRY_DELAY)
