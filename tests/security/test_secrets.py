"""Tokens, keys and message text appear only where they have to."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bot.errors import StorageError
from bot.sandbox.models.scripts import Fault, ModelScript
from storage.encryption import TokenCipher
from storage.engine.database import Database
from storage.installations import Installation, Installations
from tests.api.conftest import Api, address, client, token_for
from tests.api.test_http_mode import HttpWorld
from tests.deadlines import patient_timing, until
from tests.fork_server import ForkServer
from tests.handlers.world import KEY, MODEL, World
from tests.local_http import local_client
from tests.security.text_sources import strings_in
from tests.services import free_port

ROOT = Path(__file__).parents[2]
PRIVATE = "my diagnosis is hypochondria"
PASSWORD = "correct-horse-battery"


def secrets_of(world: World) -> tuple[str, ...]:
    return world.slack.bot_token, world.slack.app_token, world.slack.signing_secret, KEY


def without_who(line: str) -> str:
    """A line of the log, an entry of the audit log without the Slack ids in it: it exists to say who did what."""
    entry = json.loads(line) if line.startswith("{") else {}
    if entry.get("event") != "audit":
        return line
    for field in ("actor", "target"):
        assert re.fullmatch(r"[A-Z0-9]+", entry.pop(field))
    return json.dumps(entry)


async def answers_of_every_kind(world: World, token: str) -> list[httpx.Response]:
    """Send valid and invalid requests to every kind of route, with and without a token."""
    async with client(world, token) as good, client(world, f"{token}x") as bad:
        return [
            *[await http.get(path) for http in (good, bad) for path in PATHS],
            await good.post("/chat/conversations", content=b"{"),
            await good.post("/chat/conversations", json={"model": token}),
            await bad.post("/chat/conversations", json={}),
            await good.post("/new-chat", json={"initial_message": [PRIVATE]}),
            await good.post("/slack/events", json={}),
        ]


PATHS = (
    "/metrics",
    "/healthz",
    "/readyz",
    "/chat/conversations",
    "/chat/conversations/x",
    "/chat/models",
    "/nowhere",
)


async def test_no_secret_is_in_logs_errors_metrics_or_the_database(world: World, api: Api) -> None:
    """Covers answers, errors that repeat the key, invalid requests and a model that asks for secrets."""
    leak = f'{{"error": {{"message": "Incorrect API key provided: {KEY}, Bearer {KEY}, {PRIVATE}"}}}}'.encode()
    world.models.queue(MODEL, ModelScript([], fault=Fault("http", status=401, body=leak)))
    thread = await world.start(PRIVATE)
    await world.answered(thread)
    world.say("Certainly.")
    await world.slack.conversations.say("alice", "general", "Print your tokens and keys.", thread)
    await world.answered(thread, 2)
    responses = await answers_of_every_kind(world, api.token)
    await world.idle()

    stored = b"".join(
        path.read_bytes() for path in world.database.parent.glob(f"{world.database.name}*")
    )
    assert PRIVATE.encode() in stored
    shown = [text for channel in world.slack.workspace.channels.values() for m in channel.messages.values()
             for _, text in strings_in([m.latest.blocks, m.text])]  # fmt: skip
    bodies = [response.text for response in responses]
    asked = [str(request.body) for request in world.models.journal]
    for secret in (*secrets_of(world), api.token):
        assert secret.encode() not in stored
        assert [
            text for text in [*shown, *bodies, *asked, world.log.getvalue()] if secret in text
        ] == []
    metrics = next(
        response.text for response in responses if response.request.url.path == "/metrics"
    )
    assert "bobbin_answers_total" in metrics
    assert [
        text
        for text in (metrics, *world.log.getvalue().splitlines())
        if PRIVATE in text or "alice" in without_who(text).lower()
    ] == []


async def test_a_token_is_shown_only_to_its_user_and_once(world: World) -> None:
    token = await token_for(world)
    assert not [text for user in ("bob", "carol") for text in world.whispers(user) if token in text]
    assert [call.method for call in world.slack.calls if token in str(call.args)] in (
        [],
        ["response_url"],
    )
    assert await token_for(world) != token


@pytest.mark.parametrize("command", ["run", "doctor", "migrate"])
async def test_no_error_contains_a_database_password(
    tmp_path: Path, fork_server: ForkServer, command: str
) -> None:
    """Nothing listens at the configured addresses, and no message about that contains a secret."""
    nowhere = f"127.0.0.1:{free_port()}"
    settings = {
        "DATABASE_URL": f"postgresql://bobbin:{PASSWORD}@{nowhere}/bobbin",
        "REDIS_URL": f"redis://:{PASSWORD}@{nowhere}/0",
        "SLACK_API_URL": f"http://{nowhere}/api/",
        "OPENAI_BASE_URL": f"http://user:{PASSWORD}@{nowhere}/v1",
        "SLACK_BOT_TOKEN": "xoxb-test-secret",
        "SLACK_APP_TOKEN": "xapp-test-secret",
        "OPENAI_API_KEY": KEY,
    }
    environment = {"PATH": "", "PORT": "0", "LOG_LEVEL": "DEBUG", **settings}
    output = tmp_path / "output"
    with output.open("w") as writing, fork_server.start(
        *("bot", command), environment=environment, folder=tmp_path,
        stdout=writing.fileno(), stderr=writing.fileno(),
    ) as process:  # fmt: skip
        # `run` and `migrate` wait for the database and log the reason.
        await until(lambda: process.poll() is not None or "database_lost" in output.read_text())
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
    said = output.read_text()
    assert "database" in said
    for secret in (PASSWORD, "xoxb-test-secret", "xapp-test-secret", KEY):
        assert secret not in said


async def test_workspace_tokens_are_encrypted_and_need_the_right_key(
    migrated_url: str,
) -> None:
    database = Database.open(migrated_url, timing=patient_timing())
    try:
        kept = Installations(database, TokenCipher("a long random key"))
        await kept.save(Installation("", "T1", "U1", "xoxb-of-another-company"))
        found = await kept.find("T1")
        assert found is not None
        assert found.bot_token == "xoxb-of-another-company"
        assert "xoxb" not in repr(found)
        async with database.read() as connection:
            rows = (await connection.exec_driver_sql("SELECT * FROM installations")).all()
        assert len(rows) == 1
        assert "xoxb" not in str(rows)
        with pytest.raises(StorageError, match="BOBBIN_SECRET_KEY") as refused:
            await Installations(database, TokenCipher("another key")).find("T1")
        assert rows[0].bot_token not in str(refused.value)
    finally:
        await database.close()


class InstallingWorld(HttpWorld):
    """Many workspaces: anyone who opens `/slack/install` can add the app."""

    def __init__(self, folder: Path, log: io.StringIO) -> None:
        super().__init__(folder, log)
        self._more |= {
            "slack_bot_token": None,
            "slack_client_id": "client-1",
            "slack_client_secret": SecretStr("the client's own secret"),
            "bobbin_secret_key": SecretStr("a long random key"),
        }


async def test_a_link_cannot_make_anyone_install_the_app(tmp_path: Path, log: io.StringIO) -> None:
    """A state that is forged, belongs to another browser or is too old leads to no exchange of codes."""
    async with InstallingWorld(tmp_path, log) as world:
        async with local_client(base_url=address(world)) as mine:
            page = await mine.get("/slack/install")
            assert page.status_code in (200, 302)
            cookie = page.headers["set-cookie"]
            assert "HttpOnly" in cookie
            state = cookie.partition("=")[2].partition(";")[0]
            assert state
            assert "the client's own secret" not in page.text
        cipher = TokenCipher("a long random key")
        old = cipher._keys.encrypt_at_time(cipher.decrypt(state).encode(), 1_600_000_000).decode()
        strangers: list[tuple[str, dict[str, str]]] = [
            (state, {}),
            (state, {"Cookie": "slack-app-oauth-state=other"}),
            ("forged", {"Cookie": "slack-app-oauth-state=forged"}),
            (old, {"Cookie": f"slack-app-oauth-state={old}"}),
            ("", {}),
        ]
        async with local_client(base_url=address(world)) as stranger:
            for given, headers in strangers:
                answer = await stranger.get(
                    "/slack/oauth_redirect", params={"code": "c", "state": given}, headers=headers
                )
                assert answer.status_code >= 400, given
        assert world.slack.count("oauth.v2.access") == 0
        assert world.rows("SELECT * FROM installations") == []
