"""A tool server that violates every rule does no harm."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
from pathlib import Path
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from bot.api.server import serving
from bot.domain.tool_calls import MAX_OFFERED, Permission, ToolOutcome
from bot.english_strings import NOTHING_RETURNED
from bot.network import DIRECT
from bot.tools.config import parse_tool_config
from bot.tools.lazy_servers import LazyToolServers
from bot.tools.servers import MAX_DESCRIPTION, ToolServers, describe
from tests.deadlines import WAIT_TIMEOUT, until
from tests.handlers.conftest import WorldFactory
from tests.tools import hostile_server, odd_server
from tests.tools.hostile_server import SECRET
from tests.tools.servers import CountingServer


async def test_a_server_that_breaks_every_rule_leaks_nothing_and_floods_nothing(
    tmp_path: Path, log: io.StringIO
) -> None:
    """Names are unique and valid, descriptions cut, lists not read endlessly, and none of its text is in any log.

    A result counts even if it violates its tool's schema, which is never checked, because its patterns are untrusted.
    """
    lists = tmp_path / "lists"
    command = {"command": sys.executable, "args": [str(hostile_server.__file__), str(lists)]}
    servers = ToolServers(parse_tool_config(json.dumps({"mcpServers": {"bad": command}}), {}))
    async with servers.running():
        await servers.ready(WAIT_TIMEOUT)
        assert len(servers.tools) == 5
        (health,) = servers.health()
        told = describe(health)
        left = ("text", "list", "no_schema", "huge", "number 9", "_", "said", "number 15")
        for each in left:
            assert f"left out {each}: " in told
            assert log.getvalue().count(f'"tool": "{each}"') == 1
        assert servers.tools["bad__odd"].schema == {"type": "object"}
        assert servers.tools["bad__odd"].permission is Permission.ASKS
        for name, tool in servers.tools.items():
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)
            assert len(tool.description) <= MAX_DESCRIPTION
        before = len(lists.read_text().splitlines())
        began = asyncio.get_running_loop().time()
        result = await servers.call(servers.tools["bad__go"], {"text": SECRET}, WAIT_TIMEOUT)
        assert result.outcome is ToolOutcome.DONE
        assert SECRET in result.text
        assert "\x00" not in result.text  # PostgreSQL could not store it
        refused = await servers.call(servers.tools["bad__go"], {}, WAIT_TIMEOUT)
        assert refused.outcome is ToolOutcome.DONE
        broken = await servers.call(servers.tools["bad__mute"], {}, WAIT_TIMEOUT)
        assert (broken.outcome, SECRET in broken.text) == (ToolOutcome.DONE, True)
        garbled = await servers.call(servers.tools["bad__go"], {"nonsense": 1}, WAIT_TIMEOUT)
        assert garbled.outcome is ToolOutcome.UNKNOWN
        assert servers.health()[0].problem is None
        took = asyncio.get_running_loop().time() - began
        assert len(lists.read_text().splitlines()) - before <= took + 2
    assert SECRET not in log.getvalue()


DONE, FAILED, UNKNOWN = ToolOutcome.DONE, ToolOutcome.FAILED, ToolOutcome.UNKNOWN
ODD = {
    "newer": (DONE, "[Not passed on: hologram]\n\n[n <@U1>: https://x.example/<!channel>]\n\n"
                    "[Not passed on: no content]\n\nend"),
    "annotated": (DONE, "said"),
    "structured": (DONE, '{"a": [1, "ü"]}'),
    "null": (DONE, "[1]"),
    "empty": (DONE, NOTHING_RETURNED),
    "failing": (FAILED, "no such thing"),
    "internal": (UNKNOWN, "The server answered with an error: no internal at all."),
    "custom": (UNKNOWN, "The server answered with an error: no custom at all."),
    "own": (UNKNOWN, "The server answered with an error: no own at all."),
    "wants_url": (FAILED, "[The server refused the call: no wants_url\nat all]"),
    "unknown": (FAILED, "[The server refused the call: no unknown\nat all]"),
}  # fmt: skip


async def test_odd_results_and_errors_cost_neither_the_result_nor_the_connection() -> None:
    """The readable parts are used, whatever is beside them; and an error affects one call, not others."""
    script = [str(odd_server.__file__)]
    named = {
        "odd": {"command": sys.executable, "args": script},
        "future": {"command": sys.executable, "args": [*script, "2099-12-31"]},
    }
    servers = ToolServers(parse_tool_config(json.dumps({"mcpServers": named}), {}))
    async with servers.running():
        await servers.ready(WAIT_TIMEOUT)

        async def call(name: str) -> tuple[ToolOutcome, str]:
            result = await servers.call(servers.tools[f"odd__{name}"], {}, WAIT_TIMEOUT)
            return result.outcome, result.text

        before = await call("pid")
        assert {name: await call(name) for name in ODD} == ODD
        assert await call("pid") == before
        assert "version of the protocol" in described(servers, "future")


async def test_servers_that_cannot_start_are_reported_and_delay_nobody(
    log: io.StringIO,
) -> None:
    """Answers go on without tools at once."""
    late = LazyToolServers(cast("Any", None), DIRECT)
    async with asyncio.timeout(WAIT_TIMEOUT), late.running():
        late.begin()
        await late.ready(10 * WAIT_TIMEOUT)
    assert late.tools == {}
    assert "tool_servers_failed" in log.getvalue()


async def test_servers_that_never_answer_or_redirect_delay_nobody(tmp_path: Path) -> None:
    """Other servers are used meanwhile; nothing is sent to the address that a server redirects to."""
    reached: list[str] = []
    server = CountingServer(tmp_path / "effects")
    script = [str(hostile_server.__file__), str(tmp_path / "lists")]
    async with (
        server.over_http() as url,
        serving(replying(200, "", reached), "127.0.0.1", 0) as private,
        serving(replying(307, f"{private}/mcp", []), "127.0.0.1", 0) as leading,
    ):
        named = {
            "mute": {"command": sys.executable, "args": [*script, "initialize"]},
            "listless": {"command": sys.executable, "args": [*script, "tools/list"]},
            "leading": {"url": f"{leading}/mcp", "headers": {"Authorization": SECRET}},
            "web": {"url": url},
        }
        servers = ToolServers(parse_tool_config(json.dumps({"mcpServers": named}), {}))
        async with servers.running():
            await until(lambda: "web__look" in servers.tools)
            health = {each.name: each for each in servers.health()}
            assert {health["mute"].problem, health["listless"].problem} == {"is being connected"}
            await until(lambda: "HTTP 307" in described(servers, "leading"))
            seen = await servers.call(servers.tools["web__look"], {}, WAIT_TIMEOUT)
            assert seen.outcome is ToolOutcome.DONE
    assert reached == []


def replying(status: int, location: str, reached: list[str]) -> ASGIApp:
    """A web server with one response for every request. `reached` collects the requested paths."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["path"])
        headers = [(b"location", location.encode())] if location else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return app


def described(servers: ToolServers, name: str) -> str:
    """What operators read about a server."""
    return next(describe(each) for each in servers.health() if each.name == name)


async def test_a_model_is_sent_as_many_tools_as_providers_take(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """The first ones: servers as in the file, each one's tools by name."""
    server = CountingServer(tmp_path / "effects")
    for number in range(300):
        server.app.add_tool(server.look, name=f"a{number:03}")
    async with server.over_http() as url:
        named = {"zoo": {"url": url, "deny": ["a00*"]}, "ant": {"url": url}}
        config = parse_tool_config(json.dumps({"mcpServers": named}), {})
        async with worlds(tools=config) as world:
            world.say("Fine.")
            await world.answered(await world.start("What can you do?"))
            (asked,) = [r for r in world.models.requests() if r.body.get("tools")]
            names = [tool["function"]["name"] for tool in asked.body["tools"]]
            assert names == [f"zoo__a{number:03}" for number in range(10, 10 + MAX_OFFERED)]
        servers = ToolServers(config)
        async with servers.running():
            await servers.ready(WAIT_TIMEOUT)
            total = len(server.app._tool_manager.list_tools())
            assert f"{total - 10 - MAX_OFFERED} not offered" in described(servers, "zoo")
            assert f"{total} not offered" in described(servers, "ant")
