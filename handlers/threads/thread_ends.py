"""Reads how a thread begins and how it ends; of a long one not everything in between.

Slack returns a thread from its beginning. So of a thread that has more than one page, messages of the last minute
are read, then of a longer time, until there are enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain import Thread
from handlers.client.pages import PAGE_SIZE, next_cursor_of
from handlers.client.web_api import SlackClient

MAX_MESSAGES = 50
"""This many of the newest messages are read, besides the first message of the thread."""
MAX_PAGES = 10
"""Of one time: if more was said in it, what comes after these pages is not read."""
WINDOWS = (60.0, 3_600.0, 86_400.0, 2_592_000.0)
"""Seconds before the newest message."""


@dataclass(eq=False)
class _Ends:
    root: dict[str, Any] | None = None
    newest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_MESSAGES))
    whole: bool = True

    def add(self, message: dict[str, Any], root_ts: str) -> None:
        if message["ts"] == root_ts:
            self.root = message
        else:
            self.newest.append(message)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [*([] if self.root is None else [self.root]), *self.newest]

    @property
    def latest(self) -> float | None:
        """When the newest message of the whole thread was written, if Slack tells it."""
        latest = (self.root or {}).get("latest_reply")
        return float(latest) if latest else None


async def ends_of(slack: SlackClient, thread: Thread) -> list[dict[str, Any]]:
    """The first message of a thread and its newest ones, oldest first. Raises SlackError."""
    beginning = await _read(slack, thread, pages=1)
    if beginning.whole:
        return beginning.messages
    if beginning.latest is not None:
        for window in WINDOWS:
            since = {"oldest": f"{beginning.latest - window:.6f}"}
            found = await _read(slack, thread, MAX_PAGES, since)
            if len(found.newest) == MAX_MESSAGES:
                found.root = beginning.root
                return found.messages
    return (await _read(slack, thread, MAX_PAGES)).messages


async def _read(
    slack: SlackClient, thread: Thread, pages: int, since: Mapping[str, str] | None = None
) -> _Ends:
    """So many pages of a thread."""
    ends, read = _Ends(), 0
    arguments: dict[str, Any] = {
        "channel": thread.channel,
        "ts": thread.ts,
        "limit": PAGE_SIZE,
        **(since or {}),
    }
    async for page in slack.pages("conversations.replies", **arguments):
        for message in page.get("messages", []):
            ends.add(message, thread.ts)
        read += 1
        if read == pages:
            ends.whole = next_cursor_of(page) is None
            break
    return ends
