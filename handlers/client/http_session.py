"""The HTTP session and the Web API clients that all calls to Slack use."""

from __future__ import annotations

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.network import DIRECT, Network
from bot.timing import Timing
from handlers.client.fencing import fencing_trace

CONNECT_TIMEOUT = 5.0
"""Seconds until a connection to Slack stands."""
SDK_TIMEOUT = 30
"""Seconds for one call of the Web API, as slack_sdk counts them: longer than the session's, which decides."""


def new_session(timing: Timing = Timing(), network: Network = DIRECT) -> aiohttp.ClientSession:
    """One session for all calls to Slack; without it each call would open a connection of its own."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=timing.slack_call_timeout, connect=CONNECT_TIMEOUT),
        # As many connections as the rate limits allow: calls that hang in one workspace must not delay another's.
        connector=network.connector(limit=0, keepalive_timeout=60),
        trace_configs=[fencing_trace()],
    )


def new_web_client(
    token: str | None, api_url: str, session: aiohttp.ClientSession
) -> AsyncWebClient:
    """A Web API client that repeats nothing by itself: `SlackClient` decides what may be repeated."""
    client = AsyncWebClient(
        token=token, base_url=api_url, session=session, retry_handlers=[], timeout=SDK_TIMEOUT
    )
    client.proxy = (
        None  # slack_sdk takes one from the environment; the session knows which leads where
    )
    return client
