"""Slack's warnings in successful responses."""

from __future__ import annotations

import io
import json
from functools import partial
from http.server import BaseHTTPRequestHandler

import pytest

from bot.observability import Metrics
from handlers.client.http_session import new_session, new_web_client
from handlers.client.workspaces import SlackClients
from storage.action_claims import ActionClaims
from storage.engine.database import Database
from tests.bot.test_doctor import answer, server_that, serving
from tests.handlers.conftest import log

__all__ = ["log"]

WARNING = "missing_agent_session_stopped_event_subscription"


@pytest.mark.parametrize(
    "warned", [{"warning": WARNING}, {"response_metadata": {"warnings": ["missing_charset", WARNING]}}]
)  # fmt: skip
async def test_an_event_that_the_app_has_not_subscribed_to_is_logged_once(
    log: io.StringIO, warned: dict[str, object]
) -> None:
    """With the remedy; without the subscription Slack shows nobody its own Stop."""

    def answers(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, json.dumps({"ok": True, "user_id": "U1", "team_id": "T1", **warned}))

    database = Database.open("sqlite:///:memory:")
    with serving(server_that(answers)) as slack:
        async with new_session() as session:
            clients = SlackClients(
                client=partial(new_web_client, api_url=f"{slack}/api/", session=session),
                session=session,
                metrics=Metrics(),
                claims=ActionClaims(database),
            )
            client = await clients.from_token("xoxb-1")
            for _ in range(2):
                assert await client.call("users.info", user="U1")
    await database.close()

    logged = [
        line for line in map(json.loads, log.getvalue().splitlines()) if line["level"] == "warning"
    ]
    assert [(line["event"], line["name"]) for line in logged] == [
        ("event_not_subscribed", "agent_session_stopped")
    ]  # fmt: skip
    assert "bobbin manifest" in logged[0]["advice"]
