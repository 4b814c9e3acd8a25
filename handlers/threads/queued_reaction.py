"""⏳ on messages that wait their turn: there while they wait, gone once they are taken."""

from __future__ import annotations

import asyncio

from bot.errors import StorageError
from bot.tasks import Tasks
from handlers.client.web_api import SlackClient
from storage.answers import Answers

REACTION = "hourglass_flowing_sand"
MOST = 1_000
"""Marks remembered; beyond that the oldest are lifted by asking Slack alone."""
ASK_AGAIN = 0.5
"""Seconds until a database that failed is asked again."""


class QueuedReactions:
    """Adding and removing one mark never overtake each other, however quickly the message is taken."""

    def __init__(self, answers: Answers, tasks: Tasks) -> None:
        self._answers, self._tasks = answers, tasks
        self._putting: dict[str, asyncio.Task[bool]] = {}

    def put(self, slack: SlackClient, channel: str, ts: str, answer_id: str) -> None:
        """Marks the message that this answer waits for. Returns at once."""
        if answer_id in self._putting:
            return
        while len(self._putting) >= MOST:
            self._putting.pop(next(iter(self._putting)))
        self._putting[answer_id] = self._tasks.start(
            self._put(slack, channel, ts, answer_id), name="⏳"
        )

    async def lift(self, slack: SlackClient, channel: str, ts: str, answer_id: str) -> None:
        """The message is taken. A mark that this process knows nothing of may have been put by another one."""
        putting = self._putting.pop(answer_id, None)
        if putting is None or await putting:
            await slack.try_call("reactions.remove", channel=channel, timestamp=ts, name=REACTION)

    async def _put(self, slack: SlackClient, channel: str, ts: str, answer_id: str) -> bool:
        """Whether the mark stands afterwards."""
        if not await self._answers.is_waiting(answer_id):
            return False
        if not await slack.try_call("reactions.add", channel=channel, timestamp=ts, name=REACTION):
            return False
        if answer_id in self._putting and not await self._waits_still(answer_id):
            await slack.try_call("reactions.remove", channel=channel, timestamp=ts, name=REACTION)
            return False  # another process had taken it before the mark stood
        return True

    async def _waits_still(self, answer_id: str) -> bool:
        """Asks until the database can say: a mark that stands must not be forgotten over a restart of it."""
        while True:
            try:
                return await self._answers.is_waiting(answer_id)
            except StorageError:
                await asyncio.sleep(ASK_AGAIN)
