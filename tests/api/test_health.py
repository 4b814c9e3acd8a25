"""Health, metrics, invalid tokens, request limits, and malformed or hostile requests."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import math
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bot.api.auth import MAX_REQUESTS_PER_MINUTE
from bot.app import build
from bot.config.settings import Settings
from bot.domain import User
from bot.errors import SettingsError
from storage.api_tokens import Tokens
from tests import redis_service, services
from tests.api.conftest import Api, WorldFactory, address, client, token_for
from tests.deadlines import WAIT_TIMEOUT, patient_timing
from tests.handlers.world import World

JSON = {"Content-Type": "application/json"}
ERROR = {"success", "error", "message"}


async def get(world: World, path: str) -> httpx.Response:
    async with client(world, None) as http:
        return await http.get(path)


async def test_health_readiness_and_metrics_are_served(world: World) -> None:
    assert (await get(world, "/healthz")).json() == {"alive": True}
    ready = await get(world, "/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"ready": True, "checks": {"database": "ok", "slack": "ok"}},
    )
    await world.answered(await world.start("hello"), 1)
    await world.idle()
    measured = await get(world, "/metrics")
    assert measured.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'bobbin_answers_total{outcome="done"} 1.0' in measured.text


async def test_without_a_slack_connection_it_is_alive_but_not_ready(world: World) -> None:
    world.forgive_logger("slack_sdk.socket_mode")
    world.slack.sockets.refuse(10)
    await world.slack.sockets.drop()
    async with client(world, None) as http:
        async with asyncio.timeout(WAIT_TIMEOUT):
            while (answer := await http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.02)
        assert answer.status_code == 503
        assert answer.json() == {
            "ready": False,
            "checks": {"database": "ok", "slack": "the socket is not connected"},
        }
        assert (await http.get("/healthz")).status_code == 200


async def test_without_redis_it_is_not_ready(
    worlds: WorldFactory, own_redis: redis_service.RedisServer
) -> None:
    async with worlds(redis_url=SecretStr(own_redis.url)) as world:
        assert (await get(world, "/readyz")).json()["checks"]["redis"] == "ok"
        own_redis.stop()
        answer = await get(world, "/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["redis"].startswith("Redis cannot be reached")
        measured = (await get(world, "/metrics")).text
        assert [line for line in measured.splitlines() if line.startswith("bobbin_ready{")] == [
            'bobbin_ready{check="database"} 1.0',
            'bobbin_ready{check="slack"} 1.0',
            'bobbin_ready{check="redis"} 0.0',
        ]


async def test_with_a_newer_schema_it_is_not_ready(world: World) -> None:
    await world.execute("UPDATE alembic_version SET version_num = 'ffff'")
    answer = await get(world, "/readyz")
    assert answer.status_code == 503
    assert "newer" in answer.json()["checks"]["database"]


async def test_with_an_older_schema_it_is_not_ready(world: World) -> None:
    await world.execute("UPDATE alembic_version SET version_num = '0001'")
    answer = await get(world, "/readyz")
    assert answer.status_code == 503
    assert "older" in answer.json()["checks"]["database"]


async def test_with_a_part_of_its_work_failing_it_is_not_ready(worlds: WorldFactory) -> None:
    """Everything else works, so only the most recent successes show it."""
    async with worlds(
        timing=patient_timing(overdue=2.0, sweep_interval=0.1, lease_renew_interval=0.1)
    ) as world:
        await world.execute("ALTER TABLE chores RENAME TO mislaid")
        async with client(world, None) as http, asyncio.timeout(WAIT_TIMEOUT):
            while (answer := await http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.02)
            assert answer.json()["checks"]["database"].startswith("the sweep of after-work last")
            await world.execute("ALTER TABLE mislaid RENAME TO chores")
            while (await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.02)


@pytest.mark.postgres
async def test_without_a_database_it_is_alive_but_not_ready(
    worlds: WorldFactory, own_postgresql: services.PostgresServer
) -> None:
    async with worlds(database_url=SecretStr(own_postgresql.url)) as world:
        assert (await get(world, "/readyz")).json()["checks"]["database"] == "ok"
        await asyncio.to_thread(own_postgresql.stop)
        answer = await get(world, "/readyz")
        assert (answer.status_code, (await get(world, "/healthz")).status_code) == (503, 200)
        assert answer.json()["checks"] == {
            "database": "the database refuses the connection: nothing listens there",
            "slack": "ok",
        }
        await asyncio.to_thread(own_postgresql.start)
        assert (await get(world, "/readyz")).status_code == 200


async def test_a_taken_port_stops_the_start_if_it_was_set(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings.load(None).changed(
            port=port, database_url=SecretStr(f"sqlite:///{tmp_path / 'x.db'}")
        )
        with pytest.raises(SettingsError, match=f"PORT {port} .*set PORT to another one"):
            async with build(settings):
                pass
    settings = settings.changed(host="no.such.host.invalid", port=0)
    with pytest.raises(SettingsError, match="HOST no"):
        async with build(settings):
            pass


async def test_the_url_is_logged(world: World) -> None:
    assert [line["url"] for line in world.lines() if line["event"] == "http_listening"] == [
        address(world)
    ]


NO_TOKENS = [None, "", "Bearer", "Bearer bob_wrong", "Basic abc", "Bearer " + "x" * 600, "bob_x"]
ROUTES = (
    ("GET", "/chat/conversations"),
    ("POST", "/chat/conversations"),
    ("GET", "/chat/models"),
    ("POST", "/api/v1/chat"),
    ("POST", "/new-chat"),
    ("POST", "/list-chats"),
)


async def test_every_route_refuses_requests_without_a_valid_token(world: World) -> None:
    async with client(world, None) as http:
        for header, (method, path) in itertools.product(NO_TOKENS, ROUTES):
            headers = {} if header is None else {"Authorization": header}
            answer = await http.request(method, path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert set(answer.json()) == ERROR
            assert answer.json()["success"] is False


async def test_an_expired_token_is_refused(world: World) -> None:
    assert world.bot is not None
    tokens = Tokens(world.bot.database)
    user = User(world.slack.workspace.team_id, "U0ALICE")
    for seconds, status in ((60, 200), (-1, 401)):
        token = await tokens.issue(user, valid_for=timedelta(seconds=seconds))
        async with client(world, token) as http:
            assert (await http.get("/chat/models")).status_code == status


async def test_requests_per_token_are_limited(world: World, api: Api, bobs: Api) -> None:
    began = time.monotonic()
    answers: list[httpx.Response] = []
    refused: list[httpx.Response] = []
    while not refused:  # on a slow machine the tokens are refilled in between
        answers += await asyncio.gather(*(api.http.get("/chat/conversations") for _ in range(140)))
        refused = [answer for answer in answers if answer.status_code == 429]
    again = math.ceil((time.monotonic() - began) * MAX_REQUESTS_PER_MINUTE / 60)
    assert 0 <= len(answers) - len(refused) - MAX_REQUESTS_PER_MINUTE <= again
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(1 <= int(answer.headers["retry-after"]) <= 2 for answer in refused)
    assert refused[0].json()["rateLimitReached"] is False
    assert set(refused[0].json()) == ERROR | {"rateLimitReached"}
    await bobs.ask("GET", "/chat/conversations")


BAD_BODIES: list[Any] = [
    b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b"{}", b'{"content": null}', b'{"content": 5}',
    b'{"content": ""}', b'{"content": ["a"]}', b'{"content": "a", "images": "x"}',
    b'{"content": "a", "artifacts": {"name": 1}}', b'{"content": NaN}', b"1" * 5_000,
    json.dumps({"content": "x" * 200_001}).encode(),
]  # fmt: skip


async def test_any_malformed_body_is_refused_with_a_sentence(world: World, api: Api) -> None:
    chat = await api.conversation()
    path = f"/chat/conversations/{chat}/messages"
    for body in BAD_BODIES:
        answer = await api.http.post(path, content=body, headers=JSON)
        assert answer.status_code == 422, (body[:40], answer.text)
        assert set(answer.json()) == ERROR
        assert len(answer.content) < 1000
    assert (await api.history(chat))["messages"] == []


TEXTS = [
    "\ud800",
    "\x00 nul",
    "a\x00b",
    "é 漢字 🎉 \u202e rtl",
    "x" * 200_000,
    " ",
    "\r\n\t",
    "{{}} %s {0}",
    "' OR 1=1 --",
]


async def test_any_text_is_stored_and_returned(world: World, api: Api) -> None:
    for text in TEXTS:
        title = json.dumps({"title": text[:200]}).encode()
        made = await api.ask("POST", "/chat/conversations", 201, content=title, headers=JSON)
        chat = made["conversation"]["id"]
        path = f"/chat/conversations/{chat}/messages"
        said = await api.ask(
            "POST", path, 201, content=json.dumps({"content": text}).encode(), headers=JSON
        )
        kept = text.replace("\x00", "\ufffd").replace("\ud800", "?")
        assert said["userMessage"]["content"] == kept
        assert (await api.history(chat))["messages"][0]["content"] == kept
        search = json.dumps({"q": kept[:100]}).encode()
        assert (
            len((await api.ask("POST", "/list-chats", content=search, headers=JSON))["chats"]) >= 1
        )


IDENTIFIERS = [
    "x",
    "0" * 32,
    "0" * 31,
    "%00",
    "..%2f..",
    "%F0%9F%8E%89",
    "a" * 5_000,
    "' OR 1=1",
    "%ff",
]


async def test_malformed_identifiers_are_not_found(world: World, api: Api) -> None:
    for identifier in IDENTIFIERS:
        for method, path in (
            ("GET", f"/chat/conversations/{identifier}"),
            ("POST", f"/chat/conversations/{identifier}/messages"),
            ("POST", f"/chat/conversations/{identifier}/messages/{identifier}/retry"),
        ):
            body = {"json": {"content": "hi"}} if method == "POST" else {}
            answer = await api.http.request(method, path, **body)  # type: ignore[arg-type]
            assert answer.status_code == 404, answer.text
            assert set(answer.json()) == ERROR
        answer = await api.http.post("/check-chat", json={"chat": identifier})
        assert answer.status_code == 404


async def test_malformed_cursors_limits_and_keys_are_refused(world: World, api: Api) -> None:
    import base64

    def cursor(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode()

    for wrong in (
        "x",
        "%00",
        "🎉",
        cursor("9999-12-31T23:59:59-23:59 a"),
        cursor("2026-01-01T00:00:00+00:00 \x00"),
        "=" * 9,
    ):
        refused = await api.http.get("/chat/conversations", params={"cursor": wrong})
        assert refused.status_code == 422, wrong
    for limit in ("0", "101", "-1", "x", "1e9", "9" * 400):
        assert (
            await api.http.get("/chat/conversations", params={"limit": limit})
        ).status_code == 422
    assert (await api.http.get("/chat/conversations", params={"q": "\x00"})).status_code == 200
    chat = await api.conversation()
    path = f"/chat/conversations/{chat}/messages"
    for key, status in (("", 422), ("k" * 256, 422), ("ü ¿", 201)):
        headers = {b"Idempotency-Key": key.encode("latin-1")}
        answer = await api.http.post(path, json={"content": "hi"}, headers=headers)
        assert answer.status_code == status, key[:10]


async def test_unknown_paths_and_methods_get_the_common_error_format(
    world: World, api: Api
) -> None:
    for method, path, status in (
        ("GET", "/no/such", 404),
        ("DELETE", "/chat/conversations", 405),
        ("GET", "/", 404),
    ):
        answer = await api.http.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()) == ERROR
        assert "allow" in answer.headers or status == 404


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    world: World, api: Api
) -> None:
    host, port = address(world).removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(_head(api.token, 40_000_001) + b"{}")
    async with asyncio.timeout(WAIT_TIMEOUT):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == ERROR

    async def endless() -> Any:
        for _ in range(60):
            yield b"x" * 1_000_000

    with contextlib.suppress(
        httpx.NetworkError
    ):  # or the connection is closed while we are still sending
        assert (await api.http.post("/new-chat", content=endless())).status_code == 413
    assert (await api.http.get("/chat/models")).status_code == 200


async def test_a_client_that_sends_too_slowly_is_disconnected(
    worlds: WorldFactory,
) -> None:
    timing = patient_timing(http_header_timeout=0.2, http_body_gap_timeout=0.2)
    async with worlds(timing=timing) as world:
        host, port = address(world).removeprefix("http://").split(":")
        token = await token_for(world)
        for beginning, end, closed in (
            (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"", True),
            (_head(token, 100) + b"{", b"HTTP/1.1 408", True),
            # Answered without its body, and closed only after the time that an idle connection is kept.
            (_head("bob_unknown", 100) + b"{", b"HTTP/1.1 401", False),
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(beginning)
            async with asyncio.timeout(WAIT_TIMEOUT):
                received = await (reader.read() if closed else reader.readexactly(len(end)))
            assert received[: len(end) or None] == end
            writer.close()
            await writer.wait_closed()
        assert (await get(world, "/healthz")).status_code == 200


def _head(token: str, length: int) -> bytes:
    """The beginning of a request with a body."""
    lines = (
        "POST /new-chat HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    )
    return "\r\n".join([*lines, "", ""]).encode()


async def test_a_message_that_cannot_be_stored_is_not_acknowledged(
    worlds: WorldFactory, log: io.StringIO
) -> None:
    async with worlds() as world, client(world, await token_for(world)) as http:
        api = Api(http, "")
        chat = await api.conversation()
        assert world.bot is not None
        await world.execute("ALTER TABLE messages RENAME TO gone")
        refused = await api.say(chat, "hello", 503)
        assert set(refused) == ERROR
        await world.execute("ALTER TABLE gone RENAME TO messages")
        await api.say(chat, "hello")
