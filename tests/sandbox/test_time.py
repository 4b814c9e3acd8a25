"""Slack's expiry times, with a clock that the test controls."""

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Limits, Sandbox
from bot.sandbox.state.records import Container
from tests.sandbox.conftest import refusal
from tests.sandbox.test_streams import start, words


class Clock:
    """A clock that the test moves ahead."""

    def __init__(self) -> None:
        self._started = time.time()
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._started + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def slack(clock: Clock) -> AsyncIterator[Sandbox]:
    """With Slack's own deadlines."""
    async with Sandbox(limits=Limits.off(), clock=clock) as sandbox:
        yield sandbox


async def test_a_stream_expires_after_five_minutes_despite_appends(
    slack: Sandbox, web: AsyncWebClient, clock: Clock
) -> None:
    _, ts = await start(slack, web)
    for _ in range(9):
        clock.ahead += 30
        await web.chat_appendStream(channel="C0GENERAL", ts=ts, chunks=words("x"))
    clock.ahead += 31
    stop = web.chat_stopStream(channel="C0GENERAL", ts=ts)
    assert await refusal(stop) == "message_not_in_streaming_state"
    message = slack.workspace.message("general", ts)
    assert (message.text, message.streaming) == ("One xxxxxxxxx", False)
    assert message.states[-1].at - message.states[0].at > 269


async def test_a_status_expires_after_two_minutes(
    slack: Sandbox, web: AsyncWebClient, clock: Clock
) -> None:
    root = await slack.conversations.say("alice", "general", "hi")
    await web.assistant_threads_setStatus(
        channel_id="C0GENERAL", thread_ts=root, status="is thinking…"
    )
    clock.ahead += 119
    assert slack.agent_sessions.status("general", root) == "is thinking…"
    clock.ahead += 2
    assert slack.agent_sessions.status("general", root) == ""


async def test_only_an_existing_session_can_be_renamed(slack: Sandbox, web: AsyncWebClient) -> None:
    root = await slack.conversations.say("alice", "general", "hi")
    where = {"channel_id": "C0GENERAL", "thread_ts": root}
    assert (
        await refusal(web.agents_sessions_rename(**where, title="Of tides")) == "session_not_found"
    )
    await web.agents_sessions_setStatus(**where, status="active")
    await web.agents_sessions_rename(**where, title="Of tides")
    assert slack.agent_sessions.title("general", root) == "Of tides"


async def test_a_trigger_expires_after_three_seconds(
    slack: Sandbox, web: AsyncWebClient, clock: Clock
) -> None:
    trigger = slack.triggers.issue("U0ALICE")
    clock.ahead += 3
    view = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
    assert await refusal(web.views_open(trigger_id=trigger, view=view)) == "expired_trigger_id"


async def test_a_response_url_expires_after_half_an_hour(slack: Sandbox, clock: Clock) -> None:
    ts = await slack.conversations.say("alice", "general", "x")
    url = slack.response_urls.issue(
        "U0ALICE", Container([], message=slack.workspace.message("general", ts))
    )
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={"text": "in time"}) as response:
            assert response.status == 200
        clock.ahead += 1_800
        async with session.post(url, json={"text": "too late"}) as response:
            assert (response.status, (await response.json())["error"]) == (404, "expired_url")
    assert [whisper.text for whisper in slack.workspace.ephemerals("alice")] == ["in time"]
