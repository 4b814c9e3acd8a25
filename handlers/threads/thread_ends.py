"""Reads the beginning and the end of a thread, but not everything in between if it is long.

Slack returns a thread from its beginning. So for a thread with more than one page, the messages of the last minute are
read, then those of longer periods, until there are enough. If a period contains more than is read, its end is missing,
so the result of the shorter period is used.
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
"""How many of the newest messages are read, besides the first message of the thread."""
MAX_PAGES = 10
"""Pages read from one period: what comes after them is not read."""
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

    def fill_up(self, wider: _Ends) -> None:
        """Adds earlier messages from `wider`, if that was not read to its end but reaches these messages."""
        first = self.newest[0]["ts"] if self.newest else ""
        if first and wider.newest and wider.newest[-1]["ts"] >= first:
            older = [message for message in wider.newest if message["ts"] < first]
            self.newest = deque([*older, *self.newest], maxlen=MAX_MESSAGES)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [*([] if self.root is None else [self.root]), *self.newest]

    @property
    def latest(self) -> float | None:
        """When the newest message of the whole thread was written, if Slack says so."""
        latest = (self.root or {}).get("latest_reply")
        return float(latest) if latest else None


async def ends_of(slack: SlackClient, thread: Thread) -> list[dict[str, Any]]:
    """The first message of a thread and its newest ones, oldest first. Raises SlackError."""
    beginning = await _read(slack, thread, pages=1)
    if beginning.whole:
        return beginning.messages
    ends = _Ends(beginning.root)
    for since in _windows(beginning.latest):
        found = await _read(slack, thread, MAX_PAGES, since)
        if not found.whole:
            ends.fill_up(found)
            break
        ends.newest = found.newest
        if len(ends.newest) == MAX_MESSAGES:
            break
    return ends.messages


def _windows(latest: float | None) -> list[dict[str, str]]:
    """From the shortest period before `latest` to the whole thread, as arguments for Slack."""
    times = [] if latest is None else [latest - window for window in WINDOWS]
    return [*({"oldest": f"{time:.6f}"} for time in times), {}]


async def _read(
    slack: SlackClient, thread: Thread, pages: int, since: Mapping[str, str] | None = None
) -> _Ends:
    """Reads this many pages of a thread."""
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
