"""The line "Bobbin is thinking…" under a thread: shown at once, kept alive, gone at the end."""

from __future__ import annotations

import asyncio
import contextlib

from bot import words
from handlers.slack import Slack

REFRESH = 80.0
"""Seconds; Slack lets a status die after two minutes."""
METHOD = "assistant.threads.setStatus"


class ThinkingStatus:
    """One thread's status while an answer is being thought about. A convenience: no failure of it matters."""

    def __init__(self, slack: Slack, channel: str, thread: str) -> None:
        self._slack, self._channel, self._thread = slack, channel, thread
        self._task: asyncio.Task[None] | None = None
        self._may_stand = False
        self._calling = False
        self._renew = True

    def show(self) -> None:
        self._task = asyncio.create_task(self._keep())

    def gone(self) -> None:
        """A message of ours appeared: Slack takes the status away by itself, unless we are just renewing it."""
        self._may_stand = self._calling
        self.covered()

    def covered(self) -> None:
        """Something is to be seen in an older message: no need to renew the status."""
        if self._task is not None and not self._calling:
            self._task.cancel()
        self._renew = False

    async def clear(self) -> None:
        """Takes it away where no new message did."""
        if self._calling and self._task is not None:
            await asyncio.wait([self._task], timeout=5.0)  # else it might land after we took it away
        await self.leave()
        if self._may_stand:
            await self._slack.attempt(METHOD, channel_id=self._channel, thread_ts=self._thread, status="")

    async def leave(self) -> None:
        """Stops renewing it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep(self) -> None:
        while self._renew:
            self._calling = self._may_stand = True
            try:
                self._may_stand = await self._slack.attempt(
                    METHOD, channel_id=self._channel, thread_ts=self._thread, status=words.THINKING
                )
            finally:
                self._calling = False
            if not self._may_stand:
                return
            await asyncio.sleep(REFRESH)
