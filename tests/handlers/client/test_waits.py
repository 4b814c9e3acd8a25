"""Every wait for Slack has a limit: time in the queue, in the call and between attempts counts together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from bot.observability import Metrics
from bot.sandbox.server import Sandbox
from handlers.client.errors import SlackError, TooLate
from handlers.client.http_session import new_session, new_web_client
from handlers.client.web_api import SlackClient
from handlers.client.workspaces import SlackClients
from handlers.rate_limits.slack_rates import POST, RATES, UPDATE, Rate
from storage.action_claims import ActionClaims
from storage.engine.database import Database
from tests.deadlines import WAIT_TIMEOUT

SCARCE = {**RATES, UPDATE: Rate(0.001, 1), POST: Rate(0.001, 1)}
"""One call of each, and the next one after minutes."""
PATIENCE = 0.4


@asynccontextmanager
async def workspace(scarce: bool = False) -> AsyncIterator[tuple[Sandbox, SlackClient]]:
    database = Database.open("sqlite:///:memory:")
    async with Sandbox() as slack, new_session() as session:
        clients = SlackClients(
            client=partial(new_web_client, api_url=slack.api_url, session=session),
            session=session,
            metrics=Metrics(),
            claims=ActionClaims(database),
            rates=SCARCE if scarce else RATES,
        )
        yield slack, await clients.from_token(slack.bot_token)
    await database.close()


async def post(slack: Sandbox, client: SlackClient, text: str = "Hello") -> str:
    channel = slack.workspace.channel("general").id
    return str((await client.call_with_retry(POST, channel=channel, text=text))["ts"])


TROUBLE = [
    {"mode": "hang"},
    {"mode": "slow", "seconds": 300.0},
    {"mode": "status", "status": 503},
    {"mode": "error", "error": "internal_error"},
    {"mode": "ratelimited", "retry_after": 300},
    {"mode": "lost"},
    {"mode": "garbage"},
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda each: str(each["mode"]))
async def test_a_call_ends_with_its_callers_patience(trouble: dict[str, object]) -> None:
    async with workspace() as (slack, client), asyncio.timeout(WAIT_TIMEOUT):
        slack.faults.add("users.info", times=-1, **trouble)  # type: ignore[arg-type]
        with pytest.raises(SlackError):
            await client.call_with_retry("users.info", max_wait=PATIENCE, user=client.bot_user)
        slack.faults.clear()


async def test_the_time_in_the_queue_counts() -> None:
    async with workspace(scarce=True) as (slack, client), asyncio.timeout(WAIT_TIMEOUT):
        ts = await post(slack, client)
        channel = slack.workspace.channel("general").id
        with pytest.raises(TooLate):
            await client.call_with_retry(POST, max_wait=PATIENCE, channel=channel, text="Again")
        assert len(slack.calls_of(POST)) == 1
        assert ts


async def test_of_several_titles_that_wait_only_the_newest_is_shown() -> None:
    async with workspace(scarce=True) as (slack, client), asyncio.timeout(WAIT_TIMEOUT):
        ts, channel = await post(slack, client), slack.workspace.channel("general").id
        client.dispatcher.rate_limited(UPDATE, channel, 0.5)  # they wait together
        drawn = await asyncio.gather(
            *(
                client.try_call(UPDATE, channel=channel, ts=ts, text=f"Title {number}")
                for number in range(50)
            )
        )
        assert all(drawn)
        (call,) = slack.calls_of(UPDATE)
        assert call.args["text"] == "Title 49"


async def test_a_fresh_argument_is_made_when_its_turn_has_come() -> None:
    async with workspace(scarce=True) as (slack, client), asyncio.timeout(WAIT_TIMEOUT):
        ts, channel = await post(slack, client), slack.workspace.channel("general").id
        title = "before"

        async def fresh() -> dict[str, str]:
            return {"text": title}

        client.dispatcher.rate_limited(UPDATE, channel, 0.5)
        drawing = asyncio.create_task(client.try_call(UPDATE, channel=channel, ts=ts, fresh=fresh))
        await asyncio.sleep(0)
        title = "after"
        assert await drawing
        assert slack.calls_of(UPDATE)[0].args["text"] == "after"


async def test_a_call_whose_arguments_cannot_be_made_costs_nothing() -> None:
    async def broken() -> dict[str, str]:
        raise ValueError("no such chat")

    async with workspace(scarce=True) as (_, client), asyncio.timeout(WAIT_TIMEOUT):
        with pytest.raises(ValueError, match="no such chat"):
            await client.try_call(UPDATE, channel="C1", ts="1.0", fresh=broken)
        assert client.dispatcher.available(UPDATE) == pytest.approx(1.0, abs=0.01)
