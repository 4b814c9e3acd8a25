"""Events are delivered to a real Bolt app: mentions twice, again without an ack, and late if the app was offline."""

import json
from collections.abc import Iterable
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import Limits, Sandbox, Upload
from tests.deadlines import DEADLINE_SCALE
from tests.sandbox.conftest import Bot

Event = dict[str, Any]


def collect_events(app: AsyncApp, *names: str) -> list[Event]:
    """Listen for events. They are appended to the returned list."""
    received: list[Event] = []
    for name in names:

        @app.event(name)
        async def on_event(event: Event) -> None:
            received.append(event)

    return received


def kinds(events: Iterable[Event]) -> list[str]:
    return sorted(event.get("subtype") or event["type"] for event in events)


async def test_a_mention_is_delivered_as_two_events_with_different_ids(
    slack: Sandbox, bot: Bot
) -> None:
    received = collect_events(bot.app, "app_mention", "message")
    await bot.connect()
    ts = await slack.conversations.say(
        "alice", "general", "@Bobbin what is 1 < 2 & why? https://a.example/x?y=1."
    )
    await slack.until(lambda: len(received) == 2 and all(each.acked for each in slack.deliveries))
    assert kinds(received) == ["app_mention", "message"]
    text = "<@U0BOBBIN> what is 1 &lt; 2 &amp; why? <https://a.example/x?y=1>."
    assert {(event["ts"], event["text"], event["user"]) for event in received} == {
        (ts, text, "U0ALICE")
    }
    assert len({delivery.payload["event_id"] for delivery in slack.deliveries}) == 2
    message = next(event for event in received if event["type"] == "message")
    assert message["channel_type"] == "channel"


async def test_replies_edits_files_joins_and_deletions_are_shaped_as_in_slack(
    slack: Sandbox, bot: Bot
) -> None:
    received = collect_events(bot.app, "app_mention", "message", "member_joined_channel")
    await bot.connect()
    root = await slack.conversations.say("alice", "general", "root")
    reply = await slack.conversations.say("bob", "general", "reply", thread=root)
    await slack.conversations.say(
        "bob", "general", "look", thread=root, files=[Upload("a.png", b"png", "image/png")]
    )
    await slack.conversations.edit("bob", "general", reply, "@bobbin reply")
    await slack.conversations.delete("bob", "general", reply)
    await slack.conversations.join("carol", "leads", inviter="alice")
    await slack.until(lambda: len(received) == 8)
    wanted = [
        "app_mention",
        "channel_join",
        "file_share",
        "member_joined_channel",
        "message",
        "message",
    ]
    assert kinds(received) == sorted([*wanted, "message_changed", "message_deleted"])
    first = next(event for event in received if event["ts"] == reply)
    assert (first["thread_ts"], first["parent_user_id"]) == (root, "U0ALICE")
    mention = next(event for event in received if event["type"] == "app_mention")
    assert mention["ts"] == reply
    assert mention["edited"]["user"] == "U0BOB"
    shared = next(event for event in received if event.get("subtype") == "file_share")
    assert shared["files"][0]["mimetype"] == "image/png"
    assert "team" not in shared


async def test_unsubscribed_and_invisible_events_are_not_delivered(
    slack: Sandbox, bot: Bot
) -> None:
    await bot.connect()
    ts = await slack.conversations.say("alice", "general", "x")
    await slack.conversations.react("alice", "general", ts, "tada")
    await slack.conversations.say("alice", "watercooler", "@bobbin you are not here")
    assert [delivery.name for delivery in slack.deliveries] == ["message"]


async def test_direct_and_group_messages_carry_their_channel_type(slack: Sandbox, bot: Bot) -> None:
    received = collect_events(bot.app, "message")
    await bot.connect()
    await slack.conversations.say("alice", "@bobbin", "in private")
    group = slack.workspace.open_dm(["U0ALICE", "U0BOB", slack.bot_user.id])
    await slack.conversations.say("alice", group.id, "among us")
    await slack.conversations.say("alice", "leads", "in the private channel")
    await slack.until(lambda: len(received) == 3)
    assert {event["channel_type"] for event in received} == {"im", "mpim", "group"}
    assert group.id.startswith("C")


class TestShortDeadlines:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(rates=False, ack_timeout=0.15, retry_delays=(0.0, 0.05, 0.1))

    async def test_an_unacknowledged_event_is_redelivered_three_times(
        self, slack: Sandbox, bot: Bot
    ) -> None:
        await bot.connect()
        await slack.conversations.say("alice", "general", "x")
        delivery = slack.deliveries[0]
        await slack.until(lambda: delivery.gave_up)
        assert [attempt.retry for attempt in delivery.attempts] == [0, 1, 2, 3]
        assert len({attempt.envelope_id for attempt in delivery.attempts}) == 4
        assert not delivery.acked

    async def test_an_event_whose_listener_failed_is_redelivered(
        self, slack: Sandbox, bot: Bot
    ) -> None:
        seen: list[str] = []

        @bot.app.event("message")
        async def on_message(event: Event, request: Any) -> None:
            seen.append(request.headers.get("x-slack-retry-num", [""])[0])
            if len(seen) < 3:
                raise RuntimeError("not saved")

        await bot.connect()
        await slack.conversations.say("alice", "general", "x")
        await slack.until(lambda: slack.deliveries[0].acked)
        assert seen == ["0", "1", "2"]

    async def test_an_event_sent_while_the_app_is_away_is_delivered_as_a_retry(
        self, slack: Sandbox, bot: Bot
    ) -> None:
        received = collect_events(bot.app, "message")
        await slack.conversations.say("alice", "general", "while you were away")
        await bot.connect()
        await slack.until(lambda: slack.deliveries[0].acked)
        assert received[0]["text"] == "while you were away"
        assert slack.deliveries[0].attempts[0].retry == 1

    async def test_a_command_is_not_redelivered(self, slack: Sandbox, bot: Bot) -> None:
        await bot.connect()
        with pytest.raises(Exception, match="operation_timeout"):
            await slack.interactions.command("alice", "general", "/chats")
        assert [len(delivery.attempts) for delivery in slack.deliveries] == [1]


async def test_copies_deliver_the_same_event_several_times(slack: Sandbox, bot: Bot) -> None:
    received = collect_events(bot.app, "message")
    await bot.connect()
    slack.faults.copies = 4
    ts = await slack.conversations.say("alice", "general", "x")
    await slack.until(lambda: len(received) == 4)
    assert {event["ts"] for event in received} == {ts}
    assert len(slack.deliveries) == 1


async def test_a_ticket_opens_only_one_socket(slack: Sandbox, web: AsyncWebClient) -> None:
    opened = await web.apps_connections_open(app_token=slack.app_token)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(opened["url"]) as socket:
            hello = await socket.receive_json()
            assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(opened["url"])


async def test_sockets_are_refreshed_and_refused(slack: Sandbox, bot: Bot) -> None:
    await bot.connect()
    first = slack.sockets.connections[0]
    await slack.sockets.disconnect("refresh_requested")
    await slack.until(
        lambda: slack.sockets.connections and slack.sockets.connections[0] is not first
    )
    slack.sockets.refuse(60)
    await slack.sockets.drop()
    opened = await bot.app.client.apps_connections_open(app_token=slack.app_token)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(opened["url"])


async def test_each_envelope_is_sent_to_one_socket(slack: Sandbox, bot: Bot) -> None:
    received = collect_events(bot.app, "message")
    other = AsyncSocketModeHandler(bot.app, slack.app_token)
    await bot.connect()
    await other.connect_async()  # type: ignore[no-untyped-call]
    for number in range(20):
        await slack.conversations.say("alice", "general", str(number))
    await slack.until(lambda: len(received) == 20)
    await other.close_async()  # type: ignore[no-untyped-call]
    assert sorted(int(event["text"]) for event in received) == list(range(20))


async def test_http_delivery_is_signed_and_retried() -> None:
    """Without Socket Mode; Bolt verifies the requests."""
    from aiohttp import web as server

    seen: list[tuple[str, str]] = []
    app = AsyncApp(token="xoxb-1", signing_secret="unset")
    received = collect_events(app, "message")

    async def receive(request: server.Request) -> server.Response:
        from slack_bolt.request.async_request import AsyncBoltRequest

        body = await request.text()
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen.append(
            (headers.get("x-slack-retry-num", "0"), headers.get("x-slack-retry-reason", ""))
        )
        if len(seen) == 1:
            return server.Response(status=500)
        answer = await app.async_dispatch(AsyncBoltRequest(body=body, headers=dict(headers)))
        return server.Response(status=answer.status, text=answer.body)

    application = server.Application()
    application.router.add_post("/slack/events", receive)
    runner = server.AppRunner(application)
    await runner.setup()
    site = server.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}/slack/events"
    limits = Limits(rates=False, retry_delays=(0.0,)).with_deadlines_scaled(DEADLINE_SCALE)
    async with Sandbox(limits=limits, request_url=url) as slack:
        app = AsyncApp(
            client=AsyncWebClient(token=slack.bot_token, base_url=slack.api_url),
            signing_secret=slack.signing_secret,
            process_before_response=True,
        )
        received = collect_events(app, "message")
        await slack.conversations.say("alice", "general", "over http")
        await slack.until(lambda: slack.deliveries[0].acked)
    await runner.cleanup()
    assert seen == [("0", ""), ("1", "http_error")]
    assert [event["text"] for event in received] == ["over http"]
    assert json.dumps(slack.deliveries[0].payload)
