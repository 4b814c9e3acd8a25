"""Ends status lines and streams when their time is over, even if nothing else happens in the workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot.sandbox.state.records import Message, Thread
from bot.sandbox.state.workspace import Change, Workspace

_MARGIN = 0.001
"""Seconds added to a timer, so that the workspace's clock has passed the end when it fires."""


class Expiry:
    """One timer for each status and stream, started when that appears."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._timers: set[asyncio.TimerHandle] = set()

    def on_change(self, change: Change) -> None:
        limits = self._workspace.limits
        if change.kind == "status" and change.data["thread"].status:
            self._end_status_after(limits.status_ttl, change.data["thread"])
        elif change.kind == "posted" and change.message is not None and change.message.streaming:
            self._end_stream_after(limits.stream_ttl, change.message)

    def resume(self) -> None:
        """Starts the timers of a restored workspace."""
        now = self._workspace.clock()
        for channel in self._workspace.channels.values():
            for message in channel.messages.values():
                if message.stream is not None and message.streaming:
                    self._end_stream_after(max(0.0, message.stream.expires_at - now), message)
        for thread in self._workspace.threads.values():
            if thread.status:
                self._end_status_after(max(0.0, thread.status_expires - now), thread)

    def cancel(self) -> None:
        """Stops all timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _end_status_after(self, seconds: float, thread: Thread) -> None:
        self._call_later(
            seconds, lambda: self._workspace.expire_status(thread.channel, thread.thread_ts)
        )

    def _end_stream_after(self, seconds: float, message: Message) -> None:
        self._call_later(seconds, lambda: self._workspace.expire_stream(message))

    def _call_later(self, seconds: float, work: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            work()

        timer = asyncio.get_running_loop().call_later(seconds + _MARGIN, run)
        self._timers.add(timer)
