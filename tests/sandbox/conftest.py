"""The sandbox against Slack's own clients: slack_sdk over HTTP, slack_bolt over WebSocket."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Limits, Sandbox
from tests.deadlines import DEADLINE_SCALE


@pytest.fixture
def limits() -> Limits:
    """No rate limits, and long deadlines for the app. Tests that need others override this fixture."""
    return Limits.off().with_deadlines_scaled(DEADLINE_SCALE)


@pytest.fixture
async def slack(limits: Limits) -> AsyncIterator[Sandbox]:
    async with Sandbox(limits=limits) as sandbox:
        yield sandbox


@pytest.fixture
async def web(slack: Sandbox) -> AsyncIterator[AsyncWebClient]:
    """Slack's client with one session and no retries of its own."""
    async with aiohttp.ClientSession() as session:
        yield client_of(slack, session)


def client_of(slack: Sandbox, session: aiohttp.ClientSession | None) -> AsyncWebClient:
    return AsyncWebClient(
        token=slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[]
    )


@dataclass
class Bot:
    """A Bolt app; `connect` opens its socket."""

    app: AsyncApp
    handler: AsyncSocketModeHandler

    async def connect(self) -> None:
        await self.handler.connect_async()  # type: ignore[no-untyped-call]


@pytest.fixture
async def bot(slack: Sandbox, web: AsyncWebClient) -> AsyncIterator[Bot]:
    app = AsyncApp(
        client=web, process_before_response=True, raise_error_for_unhandled_request=False
    )
    async with AsyncExitStack() as stack:
        handler = AsyncSocketModeHandler(app, slack.app_token)
        stack.push_async_callback(handler.close_async)
        yield Bot(app, handler)


async def refusal(call: Awaitable[object]) -> str:
    """The error a call is refused with; fails when it is not."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])
