"""Messages scheduled by the app. They are stored with the workspace, and posted when they are due."""

from __future__ import annotations

import asyncio

from bot.sandbox.state.records import ScheduledMessage
from bot.sandbox.state.workspace import Workspace


class ScheduledMessages:
    """A timer for each of them. `start` it in an event loop; overdue messages are posted then."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._started = False

    def start(self) -> None:
        self._started = True
        for waiting in list(self._workspace.scheduled.values()):
            self._arm(waiting)

    def cancel(self) -> None:
        """Stops all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def add(self, scheduled: ScheduledMessage) -> None:
        self._workspace.scheduled[scheduled.id] = scheduled
        self._emit(scheduled)
        if self._started:
            self._arm(scheduled)

    def remove(self, scheduled_id: str) -> ScheduledMessage:
        """Cancels one before it is posted. Raises KeyError if it no longer waits."""
        removed = self._workspace.scheduled.pop(scheduled_id)
        if timer := self._timers.pop(scheduled_id, None):
            timer.cancel()
        self._emit(removed)
        return removed

    def _emit(self, scheduled: ScheduledMessage) -> None:
        self._workspace.emit("scheduled", scheduled.message.channel, scheduled=scheduled)

    def _arm(self, scheduled: ScheduledMessage) -> None:
        seconds = max(0.0, scheduled.post_at - self._workspace.clock())
        loop = asyncio.get_running_loop()
        self._timers[scheduled.id] = loop.call_later(seconds, self._on_due, scheduled)

    def _on_due(self, scheduled: ScheduledMessage) -> None:
        workspace = self._workspace
        if workspace.clock() < scheduled.post_at:  # the machine's clock was set back
            self._arm(scheduled)
            return
        message = self.remove(scheduled.id).message
        channel = workspace.channels[message.channel]
        if channel.is_archived or workspace.bot.id not in channel.members:
            return
        message.ts = workspace.next_ts()
        workspace.post(message)
