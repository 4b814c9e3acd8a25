"""The HTTP session and the Web API clients that all calls to Slack use."""

from __future__ import annotations

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.network import DIRECT, Network
from bot.timing import Timing
from handlers.client.fencing import fencing_trace

CONNECT_TIMEOUT = 5.0
"""Seconds for opening a connection to Slack."""
SDK_TIMEOUT = 30
"""Seconds for one Web API call in slack_sdk: longer than the session's own timeout, which applies first."""


def new_session(timing: Timing = Timing(), network: Network = DIRECT) -> aiohttp.ClientSession:
    """One session for all calls to Slack; without it each call would open its own connection."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timing.slack_call_timeout, connect=CONNECT_TIMEOUT),
        # No limit besides the rate limits: calls that hang in one workspace must not delay another's.
        connector=network.connector(limit=0, keepalive_timeout=60),
        trace_configs=[fencing_trace()],
    )


def new_web_client(
    token: str | None, api_url: str, session: aiohttp.ClientSession
) -> AsyncWebClient:
    """A Web API client that repeats nothing itself: `SlackClient` decides what may be repeated."""
    client = AsyncWebClient(
        token=token, base_url=api_url, session=session, retry_handlers=[], timeout=SDK_TIMEOUT
    )
    client.proxy = None  # slack_sdk would take a proxy from the environment; the session knows which one to use
    return client
