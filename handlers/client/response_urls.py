"""Response URLs, through which an interaction is answered: without a token, outside all rate limits, a limited number
of times.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from typing import Any

import aiohttp

from bot.observability import Metrics

RESPONSE_URL_LIFETIME = 1_740.0
"""Seconds for which a `response_url` is used. Slack accepts it for a minute longer."""
RESPONSE_URL_USES = 5
"""How often Slack accepts one URL. Every use counts: a title, a Stop button, a notice."""
_MAX_REMEMBERED = 2_000
"""URLs whose uses are remembered: the most recently used ones."""


class Responder:
    """Posts to response URLs, to each no more often than Slack accepts it."""

    def __init__(self, session: aiohttp.ClientSession, metrics: Metrics) -> None:
        self._session = session
        self._metrics = metrics
        self._uses: OrderedDict[str, int] = OrderedDict()

    async def respond(self, response_url: str | None, message: dict[str, Any]) -> bool:
        """Whether Slack accepted the message; also False, without a request, if the URL is used up."""
        if not response_url or not self._take(response_url):
            return False
        started_at = time.monotonic()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.post(response_url, json=message) as response:
                body = (await response.read()).replace(b" ", b"")
                accepted = response.status == 200 and b'"ok":false' not in body
                result = "ok" if accepted else str(response.status)
                self._metrics.observe_slack_call(
                    "response_url", result, time.monotonic() - started_at
                )
                return accepted
        return False

    def _take(self, response_url: str) -> bool:
        """Counts one more use, whatever its outcome; False if none is left."""
        uses = self._uses.pop(response_url, 0)
        self._uses[response_url] = min(uses + 1, RESPONSE_URL_USES)
        if len(self._uses) > _MAX_REMEMBERED:
            self._uses.popitem(last=False)
        return uses < RESPONSE_URL_USES
