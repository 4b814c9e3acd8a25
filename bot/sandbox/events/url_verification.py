"""Challenges an app's request URL until it responds, as if its developer pressed Slack's Retry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot.sandbox.events.http_delivery import HttpDelivery
from bot.sandbox.state.workspace import Workspace


class UrlVerification:
    """The task that challenges. Nothing is delivered before the right response."""

    def __init__(
        self, http: HttpDelivery, workspace: Workspace, report: Callable[[str | None], None]
    ) -> None:
        """`report`: called with each new outcome; None is success."""
        self._http = http
        self._workspace = workspace
        self._report = report
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        limits = self._workspace.limits
        reported: str | None = ""
        while reported is not None:
            outcome = await self._http.challenge(limits.ack_timeout)
            if outcome != reported:
                self._report(outcome)
            reported = outcome
            if outcome is not None:
                await asyncio.sleep(limits.challenge_interval)
        self._workspace.emit("bot", connected=True)
