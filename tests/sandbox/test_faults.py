"""Fault injection from Python and over HTTP."""

import asyncio
import json

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Sandbox
from tests.sandbox.conftest import Bot, refusal

GENERAL = "C0GENERAL"


def texts(slack: Sandbox) -> list[str]:
    return [message.text for message in slack.workspace.messages("general")]


async def test_an_error_fault_fails_the_given_number_of_calls_without_effect(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    slack.faults.add("chat.postMessage", error="internal_error", times=2, skip=1)
    await web.chat_postMessage(channel=GENERAL, text="first")
    for _ in range(2):
        assert await refusal(web.chat_postMessage(channel=GENERAL, text="lost")) == "internal_error"
    await web.chat_postMessage(channel=GENERAL, text="last")
    assert texts(slack) == ["first", "last"]
    assert slack.refusals == []


async def test_a_fault_can_be_limited_to_one_message(slack: Sandbox, web: AsyncWebClient) -> None:
    one, two = [(await web.chat_postMessage(channel=GENERAL, text="x"))["ts"] for _ in range(2)]
    slack.faults.add("chat.update", error="edit_window_closed", ts=one, times=-1)
    await web.chat_update(channel=GENERAL, ts=two, text="y")
    assert await refusal(web.chat_update(channel=GENERAL, ts=one, text="y")) == "edit_window_closed"
    slack.faults.clear()
    await web.chat_update(channel=GENERAL, ts=one, text="y")


async def test_rate_limits_and_server_errors(slack: Sandbox, web: AsyncWebClient) -> None:
    slack.faults.add("*", "ratelimited", retry_after=7)
    with pytest.raises(SlackApiError) as caught:
        await web.auth_test()
    assert (caught.value.response.status_code, caught.value.response.headers["Retry-After"]) == (
        429,
        "7",
    )
    slack.faults.add("auth.test", "status", status=503)
    async with (
        aiohttp.ClientSession() as session,
        session.post(slack.api_url + "auth.test") as response,
    ):
        assert response.status == 503


@pytest.mark.parametrize("mode", ["lost", "hang"])
async def test_a_lost_call_takes_effect_without_a_response(
    slack: Sandbox, web: AsyncWebClient, mode: str
) -> None:
    slack.faults.add("chat.postMessage", mode, after_effect=True, seconds=0.01)  # type: ignore[arg-type]
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await web.chat_postMessage(channel=GENERAL, text="arrived")
    assert texts(slack) == ["arrived"]


async def test_a_hanging_call_has_no_effect_and_ends_when_the_sandbox_stops(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    slack.faults.add("chat.postMessage", "hang", seconds=3_600)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await web.chat_postMessage(channel=GENERAL, text="never")
    assert texts(slack) == []


async def test_a_response_can_be_held_back_after_its_call_took_effect(
    slack: Sandbox, web: AsyncWebClient
) -> None:
    slack.faults.add("chat.postMessage", "slow", after_effect=True, seconds=3_600)
    post = asyncio.create_task(web.chat_postMessage(channel=GENERAL, text="arrived"))
    await slack.until(lambda: texts(slack) == ["arrived"])
    assert not post.done()
    slack.faults.release()
    assert (await post)["ok"]


async def test_faults_can_be_injected_over_http(
    slack: Sandbox, bot: Bot, web: AsyncWebClient
) -> None:
    await bot.connect()
    connection = slack.sockets.connections[0]
    async with aiohttp.ClientSession(slack.url) as session:

        async def control(name: str, **body: object) -> int:
            async with session.post(f"/sandbox/control/{name}", json=body) as response:
                return response.status

        assert await control("fail", method="chat.postMessage", error="fatal_error") == 200
        assert await refusal(web.chat_postMessage(channel=GENERAL, text="x")) == "fatal_error"
        assert await control("fail", method="chat.postMessage", mode="sulk") == 400
        assert await control("drop") == 200
        await slack.until(
            lambda: slack.sockets.connections and slack.sockets.connections[0] is not connection
        )
        async with session.get("/sandbox/control/calls?method=chat.postMessage") as response:
            calls = json.loads(await response.text())["calls"]
        assert [call["error"] for call in calls] == ["fatal_error"]
