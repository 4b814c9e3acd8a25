"""A foreign page in the operator's browser can reach neither the sandbox nor the API."""

from __future__ import annotations

import pytest
from starlette.routing import Mount
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bot.sandbox import Sandbox
from bot.sandbox.models.server import create_models_app
from tests.api.conftest import Api, address
from tests.handlers.world import World
from tests.local_http import local_client

FOREIGN = (
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "localhost.evil.example:80"},
    {"Host": "127.0.0.1@evil.example"},
    {"Host": "[::1"},
    {"Host": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "http://[::1"},
    {"Origin": "file://"},
)
DOORS = (
    ("GET", "/"),
    ("GET", "/static/js/app.js"),
    ("GET", "/sandbox/state?user=U0ALICE"),
    ("GET", "/sandbox/traffic"),
    ("POST", "/sandbox/say"),
    ("POST", "/sandbox/upload"),
    ("GET", "/sandbox/control"),
    ("POST", "/sandbox/control/fail"),
    ("POST", "/api/auth.test"),
    ("POST", "/api/apps.connections.open"),
    ("GET", "/files/F1/x.txt"),
    ("POST", "/response/x"),
    ("GET", "/models/v1/models"),
    ("POST", "/models/v1/chat/completions"),
    ("OPTIONS", "/sandbox/say"),
    ("GET", "/nowhere"),
)


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
async def test_the_sandbox_refuses_foreign_origins_and_rebound_names_at_every_route(
    foreign: dict[str, str],
) -> None:
    async with (
        Sandbox(mounts=[Mount("/models/v1", create_models_app())]) as slack,
        local_client(base_url=slack.url) as http,
    ):
        answers = [await http.request(method, path, headers=foreign) for method, path in DOORS]
        assert {
            (a.request.method, a.request.url.path, a.status_code in (400, 403)) for a in answers
        } == {(method, path.partition("?")[0], True) for method, path in DOORS}
        assert not [
            a for a in answers if any(name.startswith("access-control-") for name in a.headers)
        ]
        for path in ("/sandbox/live?user=U0ALICE", "/link/?ticket=x"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(
                    slack.url.replace("http", "ws") + path, additional_headers=foreign
                ):
                    pass
            assert refused.value.response.status_code in (400, 403)
        assert slack.calls == []
        assert slack.workspace.messages("general") == []


async def test_the_sandbox_listens_only_on_the_loopback_interface() -> None:
    """Checked in the kernel's socket table."""
    async with Sandbox() as slack:
        port = int(slack.url.rpartition(":")[2])
        with open("/proc/net/tcp") as table:
            listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
        assert [one for one in listening if one.endswith(f":{port:04X}")] == [
            f"0100007F:{port:04X}"
        ]


async def test_the_api_allows_no_cross_origin_requests(world: World, api: Api) -> None:
    """No CORS: a foreign page cannot read a response, and no preflight lets it send a token or JSON."""
    origin = {"Origin": "https://evil.example"}
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    paths = (
        "/chat/conversations",
        "/new-chat",
        "/api/v1/chat",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/slack/events",
    )
    answers = [await api.http.options(path, headers=origin | ask) for path in paths]
    answers += [await api.http.get(path, headers=origin) for path in paths]
    assert [a.status_code for a in answers[: len(paths)] if a.status_code < 400] == []
    assert not [a for a in answers if any(name.startswith("access-control-") for name in a.headers)]
    assert not [a for a in answers if "set-cookie" in a.headers]
    async with local_client(base_url=address(world)) as http:
        assert (await http.get("/chat/conversations", headers=origin)).status_code == 401
