"""The line "Bobbin is thinking…" under a thread and Slack's own Stop: there while it is needed, gone at the end."""

from __future__ import annotations

import asyncio
import contextlib

from bot import strings
from handlers.client.web_api import SlackClient
from handlers.threads.agent_session import Working, bounded

METHOD = "assistant.threads.setStatus"


class ThinkingStatus:
    """One thread's status while an answer is being thought about. A convenience: no failure of it matters."""

    def __init__(
        self, slack: SlackClient, channel: str, thread: str, *, taken_up: bool = False
    ) -> None:
        """`taken_up`: somebody else has begun this answer, and may have left signs of it."""
        self._slack, self._channel, self._thread = slack, channel, thread
        self._working = Working(slack, channel, thread, maybe=taken_up)
        self._task: asyncio.Task[None] | None = None
        self._may_stand = False
        self._calling = False
        self._renew = True

    def show(self) -> None:
        self._task = asyncio.create_task(self._keep())
        self._working.begin()

    def streaming(self) -> None:
        """A native stream has begun."""
        self._working.streaming()

    def released(self) -> None:
        """A native stream has been ended, and the session with it."""
        self._working.released()

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
            await asyncio.wait(
                [self._task], timeout=5.0
            )  # else it might land after we took it away
        await self.leave()
        if self._may_stand:
            await self._say("")
        await self._working.end()

    async def leave(self) -> None:
        """Stops renewing it."""
        await self._working.leave()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep(self) -> None:
        while self._renew:
            self._calling = self._may_stand = True
            try:
                self._may_stand = await self._say(strings.THINKING)
            finally:
                self._calling = False
            if not self._may_stand:
                return
            await self._working.renew()
            await asyncio.sleep(self._slack.timing.status_refresh_interval)

    async def _say(self, status: str) -> bool:
        return await bounded(
            self._slack, METHOD, channel_id=self._channel, thread_ts=self._thread, status=status
        )
