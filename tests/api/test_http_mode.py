"""HTTP mode: events, commands, buttons and menus arrive as signed requests."""

from __future__ import annotations

import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import SecretStr
from starlette.routing import Mount

from bot.manifest import bot_scopes, manifest
from bot.sandbox.events.http_delivery import signature
from bot.sandbox.models.scripts import ModelScript, words
from bot.sandbox.models.server import create_models_app
from bot.sandbox.server import Sandbox
from tests.api.conftest import address
from tests.handlers.world import World
from tests.local_http import local_client
from tests.services import free_port


class HttpWorld(World):
    """A world whose Slack reaches the bot by HTTP."""

    def __init__(self, folder: Path, log: io.StringIO) -> None:
        super().__init__(folder, log)
        port = free_port()
        app = manifest(f"http://127.0.0.1:{port}")
        self.slack = Sandbox(
            limits=self.slack.limits,
            scopes=bot_scopes(),
            events=app["settings"]["event_subscriptions"]["bot_events"],
            commands=app["features"]["slash_commands"],
            mounts=[Mount("/models/v1", create_models_app(self.models))],
            request_url=app["settings"]["event_subscriptions"]["request_url"],
        )
        self._more = {
            "slack_app_token": None,
            "slack_signing_secret": SecretStr(self.slack.signing_secret),
            "port": port,
        }


@pytest.fixture
async def world(tmp_path: Path, log: io.StringIO) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(HttpWorld(tmp_path, log))


async def post(
    world: World,
    body: bytes,
    secret: str | None = None,
    age: float = 0,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """A request signed with this secret (by default Slack's own), this many seconds ago."""
    stamp = str(int(time.time() - age))
    signed = {
        "content-type": "application/json",
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": signature(secret or world.slack.signing_secret, stamp, body),
    }
    all_of_them = [
        (name.encode(), value.encode("latin-1"))
        for name, value in (signed | (headers or {})).items()
    ]
    async with local_client() as http:
        return await http.post(f"{address(world)}/slack/events", content=body, headers=all_of_them)


def mention(world: World, text: str = "hello") -> bytes:
    event = {
        "type": "app_mention",
        "user": "U0ALICE",
        "channel": "C0GENERAL",
        "ts": f"{time.time():.6f}",
        "text": f"<@{world.slack.bot_user.id}> {text}",
    }
    team = world.slack.workspace.team_id
    return json.dumps(
        {"type": "event_callback", "team_id": team, "event_id": "Ev1", "event": event}
    ).encode()


async def test_a_whole_conversation_without_a_socket(world: World) -> None:
    world.say("The first answer.", "The second answer.")
    world.entitle("Without a socket")
    thread = await world.start("hello over http")
    assert await world.answered(thread, 1) == ["The first answer."]
    await world.slack.conversations.say("alice", "general", "and again", thread)
    assert await world.answered(thread, 2) == ["The first answer.", "The second answer."]
    await world.idle()
    (listed,) = await world.slack.interactions.command("alice", "general", "/chats")
    assert "Without a socket" in str(listed.blocks)
    assert {call.method for call in world.slack.calls_of("apps.connections.open")} == set()


async def test_url_verification_answers_the_challenge(world: World) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "c-123", "token": "x"}).encode()
    answer = await post(world, body)
    assert answer.status_code == 200
    assert "c-123" in answer.text


async def test_requests_without_slacks_signature_are_rejected(world: World) -> None:
    body = mention(world)
    wrong = [
        await post(world, body, secret="not the secret"),
        await post(world, body, age=301),
        await post(world, body, age=-400),
        await post(world, body, headers={"x-slack-signature": "v0=0"}),
        await post(world, body, headers={"x-slack-signature": "v0=\u00fc"}),
        await post(world, body, headers={"x-slack-request-timestamp": "soon"}),
        await post(world, b"\xff\xfe", secret="not the secret"),
    ]
    async with local_client() as http:
        wrong.append(await http.post(f"{address(world)}/slack/events", content=body))
        wrong.append(
            await http.post(
                f"{address(world)}/slack/events", content=urlencode({"payload": "{}"}).encode()
            )
        )
        assert (await http.get(f"{address(world)}/slack/events")).status_code == 405
    assert {answer.status_code for answer in wrong} <= {400, 401}
    assert world.rows("SELECT * FROM questions") == []
    told = {
        line["reason"]: line["advice"]
        for line in world.lines()
        if line["event"] == "request_refused"
    }
    assert "SLACK_SIGNING_SECRET" in told["wrong_signature"]
    assert "clock" in told["expired"]
    assert "unsigned" in told
    assert world.bot is not None
    metrics = world.bot.metrics.render().decode()
    assert 'bobbin_slack_requests_refused_total{reason="expired"} 2.0' in metrics
    assert (await post(world, body)).status_code == 200
    assert len(world.rows("SELECT * FROM questions")) == 1
    await world.idle()
    world.forgive("invalid_thread_ts")  # the mention was never posted in the workspace


async def test_a_request_of_more_than_a_megabyte_is_rejected(world: World) -> None:
    assert (await post(world, mention(world, "x" * 1_000_001))).status_code == 413
    assert world.rows("SELECT * FROM questions") == []


async def test_http_mode_is_ready_without_a_socket(world: World) -> None:
    async with local_client() as http:
        answer = await http.get(f"{address(world)}/readyz")
        assert answer.json() == {"ready": True, "checks": {"database": "ok", "slack": "ok"}}


async def test_an_event_that_is_delivered_twice_is_handled_once(world: World) -> None:
    """Slack signs each delivery again, so the signature does not show that it is a repetition."""
    world.slack.faults.copies = 3
    world.say("The first answer.", "The second answer.")
    thread = await world.start("hello over http")
    await world.answered(thread, 1)
    await world.slack.conversations.say("alice", "general", "and again", thread)
    assert await world.answered(thread, 2) == ["The first answer.", "The second answer."]
    await world.idle()
    assert [row["text"] for row in world.messages(thread) if row["role"] == "user"] == [
        "hello over http",
        "and again",
    ]
    assert len(world.headers(thread)) == 1


async def test_a_replayed_request_has_no_effect_and_an_old_one_is_rejected(world: World) -> None:
    """Somebody else sends a captured request again, byte for byte, with Slack's signature."""
    body = mention(world)
    stamp = str(int(time.time()))
    seen = {"content-type": "application/json", "x-slack-request-timestamp": stamp}
    seen["x-slack-signature"] = signature(world.slack.signing_secret, stamp, body)
    async with local_client(base_url=address(world)) as http:
        answers = [await http.post("/slack/events", content=body, headers=seen) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len(world.rows("SELECT * FROM questions")) == 1
    later = {
        **seen,
        "x-slack-request-timestamp": str(int(stamp) - 301),
    }  # the signature covers the time
    renewed = {**seen, "x-slack-request-timestamp": str(int(stamp) + 1)}
    async with local_client(base_url=address(world)) as http:
        refused = [
            await http.post("/slack/events", content=body, headers=headers)
            for headers in (later, renewed)
        ]
    assert [answer.status_code for answer in refused] == [401, 401]
    await world.idle()
    world.forgive("invalid_thread_ts")  # the mention was never posted in the workspace


def signed(world: World, form: dict[str, str]) -> dict[str, Any]:
    """The arguments with which `httpx` sends this form as Slack does."""
    body, stamp = urlencode(form).encode(), str(int(time.time()))
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": stamp,
    }
    headers["x-slack-signature"] = signature(world.slack.signing_secret, stamp, body)
    return {"url": f"{address(world)}/slack/events", "content": body, "headers": headers}


async def test_a_replayed_command_creates_no_token(world: World) -> None:
    command = {
        "command": "/chats",
        "text": "token",
        "user_id": "U0ALICE",
        "channel_id": "C0GENERAL",
    }
    command |= {"team_id": world.slack.workspace.team_id, "trigger_id": "1.2.3", "api_app_id": "A1"}
    seen = signed(world, command)
    async with local_client() as http:
        first, *again = [await http.post(**seen) for _ in range(3)]
        seen["headers"] |= {"content-type": "text/plain"}  # this is not signed
        again.append(await http.post(**seen))
    assert "/chats token revoke" in first.text
    assert [(answer.status_code, answer.text) for answer in again] == [(200, "")] * 3
    assert len(world.rows("SELECT * FROM api_tokens")) == 1


async def test_a_menu_may_request_its_options_twice_within_a_second(world: World) -> None:
    asked = {
        "type": "block_suggestion",
        "action_id": "model_menu",
        "block_id": "b",
        "value": "quick",
    }
    there = {
        "user": {"id": "U0ALICE"},
        "team": {"id": world.slack.workspace.team_id},
    }  # and nothing that differs
    seen = signed(world, {"payload": json.dumps(asked | there)})
    async with local_client() as http:
        answers = [(await http.post(**seen)).json() for _ in range(3)]
    assert "quick" in str(answers[0]["option_groups"])
    assert answers[1:] == answers[:1] * 2


async def test_a_replayed_stop_does_not_stop_the_next_answer(world: World) -> None:
    world.models.answer_with("*", lambda asked: ModelScript(words("word " * 100), 40.0))
    thread = await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> the first"
    )
    await world.until(lambda: world.menus(thread), "the menu")
    await world.slack.interactions.press("alice", world.menus(thread)[0], "start_chat")
    await world.until(
        lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"), "the first is written"
    )
    (chat,) = world.rows("SELECT id, team FROM chats")
    press = {
        "type": "block_actions",
        "user": {"id": "U0ALICE", "team_id": chat["team"]},
        "team": {"id": chat["team"]},
        "channel": {"id": "C0GENERAL"},
        "container": {
            "type": "message",
            "message_ts": thread,
            "channel_id": "C0GENERAL",
            "thread_ts": thread,
        },
        "actions": [
            {"action_id": "stop_answer", "block_id": "b", "type": "button", "value": chat["id"]}
        ],
    }
    seen = signed(world, {"payload": json.dumps(press)})
    async with local_client() as http:
        assert (await http.post(**seen)).status_code == 200
        await world.until(
            lambda: world.rows(
                "SELECT 1 FROM answers WHERE state = 'ended' AND ending = 'stopped'"
            ),
            "it is stopped",
        )
        await world.slack.conversations.say("alice", "general", "the second", thread)
        await world.until(
            lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"),
            "the second is written",
        )
        assert (await http.post(**seen)).status_code == 200
    await world.until(
        lambda: not world.rows("SELECT 1 FROM answers WHERE state <> 'ended'"), "it ends"
    )
    assert [row["ending"] for row in world.rows("SELECT ending FROM answers ORDER BY number")] == [
        "stopped",
        "done",
    ]


@pytest.mark.parametrize(
    "body", [b"{nope", b"[1]", b"null", b'{"type": "event_callback", "event": "x"}', b"\xff"]
)
async def test_a_signed_but_malformed_body_is_rejected(world: World, body: bytes) -> None:
    assert (await post(world, body)).status_code == 400
    assert (await post(world, body, secret="not the secret")).status_code in (400, 401)
    assert "Exception in ASGI" not in str(world.lines())


async def test_an_interaction_without_actions_is_rejected(world: World) -> None:
    press = {
        "type": "block_actions",
        "user": {"id": "U0ALICE"},
        "team": {"id": "T1"},
        "actions": [],
    }
    async with local_client() as http:
        assert (await http.post(**signed(world, {"payload": json.dumps(press)}))).status_code == 400
    assert "Exception in ASGI" not in str(world.lines())
