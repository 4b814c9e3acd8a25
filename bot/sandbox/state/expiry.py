"""Ends status lines and streams when their time is over, even if nothing else happens in the workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bot.sandbox.state.workspace import Change, Workspace

_MARGIN = 0.001
"""Seconds added to a timer, so that the workspace's clock has passed the end when it fires."""


class Expiry:
    """One timer for each status and stream, started when that appears."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._timers: set[asyncio.TimerHandle] = set()

    def on_change(self, change: Change) -> None:
        workspace, limits = self._workspace, self._workspace.limits
        if change.kind == "status" and change.data["thread"].status:
            thread = change.data["thread"]
            self._call_later(
                limits.status_ttl,
                lambda: workspace.expire_status(thread.channel, thread.thread_ts),
            )
        elif change.kind == "posted" and change.message is not None and change.message.streaming:
            message = change.message
            self._call_later(limits.stream_ttl, lambda: workspace.expire_stream(message))

    def cancel(self) -> None:
        """Stop all timers."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _call_later(self, seconds: float, work: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            work()

        timer = asyncio.get_running_loop().call_later(seconds + _MARGIN, run)
        self._timers.add(timer)
