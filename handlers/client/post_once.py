"""Posting a message exactly once, even if Slack's response is lost.

After a timeout it is unknown whether a post took effect. So the thread is searched for the message before it is posted
again:

    post ──ok──────────────────────────────────────▶ done
     ▲ └──OutcomeUnknown──▶ wait ──▶ find ──found──▶ done
     └────────────────────────────── not found ┘
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from handlers.client.errors import OutcomeUnknown
from handlers.client.web_api import SlackClient
from handlers.rate_limits.slack_rates import POST

POST_RETRY_LIMIT = 900.0
"""Seconds for which a message whose outcome stays unknown is posted again."""
_FIRST_DELAY = 0.5
"""Seconds between an unknown outcome and the search, so that a message that Slack did accept can be found."""
_MAX_DELAY = 15.0

Find = Callable[[], Awaitable[str | None]]
"""Searches for the message; returns its ts, or None if it does not exist."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that exists in Slack."""

    ts: str
    found: bool
    """Whether a search found it, so that its content may be that of an earlier attempt."""


async def post_once(
    post: Callable[[], Awaitable[str]],
    find: Find,
    *,
    look_first: bool = False,
    retry_limit: float = POST_RETRY_LIMIT,
) -> Posted:
    """Posts by `post`, which returns the message's ts, unless `find` finds that an earlier attempt took effect.

    `look_first`: an attempt of a dead process may have taken effect, so the search comes before the first post.
    `retry_limit`: seconds after which an unknown outcome is raised instead of posting again; 0 means one post and one
    search. Raises OutcomeUnknown then, and whatever else `post` and `find` raise.
    """
    if look_first and (ts := await find()) is not None:
        return Posted(ts, found=True)
    deadline = time.monotonic() + retry_limit
    delay = _FIRST_DELAY
    while True:
        try:
            return Posted(await post(), found=False)
        except OutcomeUnknown:
            await asyncio.sleep(delay)
            if (ts := await find()) is not None:
                return Posted(ts, found=True)
            if time.monotonic() >= deadline:
                raise
        delay = min(_MAX_DELAY, delay * 2)


async def post_message_once(
    slack: SlackClient,
    find: Find,
    *,
    look_first: bool = False,
    retry_limit: float = POST_RETRY_LIMIT,
    **message: Any,
) -> str:
    """`post_once` with `chat.postMessage`, within the rate limits. Returns the ts.

    `message`: the arguments of the call, as `SlackClient.call_with_retry` takes them. Waiting and repetitions take at
    most `POST_RETRY_LIMIT` seconds together.
    """
    deadline = time.monotonic() + POST_RETRY_LIMIT

    async def post() -> str:
        response = await slack.call_with_retry(
            POST, retry_if_unknown=False, max_wait=deadline - time.monotonic(), **message
        )
        return str(response["ts"])

    posted = await post_once(post, find, look_first=look_first, retry_limit=retry_limit)
    return posted.ts
