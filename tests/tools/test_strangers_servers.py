"""Third-party tool servers, through the whole product: what their tools return reaches the model and the steps."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.tools.config import parse_tool_config
from tests.handlers.conftest import WorldFactory
from tests.providers.scripted_server import (
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    responding,
)
from tests.tools.talk import calling, offered, results, script

EVERYTHING = (
    Path(__file__).parent
    / "strangers/node_modules/@modelcontextprotocol/server-everything/dist/index.js"
)


async def called(
    worlds: WorldFactory, server: dict[str, Any], *calls: tuple[str, dict[str, Any]]
) -> list[str]:
    """What these calls return to the model, one after another; each must be a step that went well."""
    config = {"mcpServers": {"its": {**server, "allow": ["*"]}}}
    async with worlds(tools=parse_tool_config(json.dumps(config), {})) as world:
        script(
            world, *(calling((name, given), server="its") for name, given in calls), "That is all."
        )
        thread = await world.start("Go on.")
        assert await world.answered(thread) == ["That is all."]
        assert {f"its__{name}" for name, _ in calls} <= offered(world)
        steps = world.rows("SELECT kind, name, status FROM answer_steps ORDER BY number")
        told = [(step["kind"], step["name"], step["status"]) for step in steps]
        assert told == [("tool", f"its/{name}", "done") for name, _ in calls], results(world)
        found = results(world)
        await world.idle()
        return found


async def test_the_time_is_asked_of_mcp_server_time(worlds: WorldFactory) -> None:
    server = {"command": sys.executable, "args": ["-m", "mcp_server_time"]}
    now, later = await called(
        worlds,
        server,
        ("get_current_time", {"timezone": "Asia/Tokyo"}),
        (
            "convert_time",
            {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        ),
    )
    assert json.loads(now)["timezone"] == "Asia/Tokyo"
    assert json.loads(later)["time_difference"] == "+9.0h"


async def test_server_everything_echoes_adds_and_shows_what_it_likes(worlds: WorldFactory) -> None:
    """Its tools return text, structure, pictures, links and progress."""
    node = shutil.which("node")
    if node is None or not EVERYTHING.exists():
        why = "needs Node, and npm ci --prefix tests/tools/strangers"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    server = {"command": node, "args": [str(EVERYTHING), "stdio"]}
    echoed, added, pictured, structured, long = await called(
        worlds,
        server,
        ("echo", {"message": "hello, <!channel>"}),
        ("get-sum", {"a": 2, "b": 3}),
        ("get-tiny-image", {}),
        ("get-structured-content", {"location": "New York"}),
        ("trigger-long-running-operation", {"duration": 0.1, "steps": 2}),
    )
    assert "hello, <!channel>" in echoed
    assert "5" in added
    assert "image you requested" in pictured
    assert {"temperature", "conditions", "humidity"} <= json.loads(structured).keys()
    assert "operation completed" in long


@pytest.mark.slow
async def test_a_page_is_read_by_mcp_server_fetch(worlds: WorldFactory) -> None:
    """As Markdown, marked as coming from there; a page that is not there is a failure that the model reads."""
    page = (
        "<html><body><article><h1>Tides</h1><p>The moon pulls the sea.</p></article></body></html>"
    )

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        answer = responding(page, content_type="text/html")
        if received.path == "/robots.txt":
            answer = responding("nothing here", 404, "text/plain")
        await answer(received, out)

    server = {"command": sys.executable, "args": ["-m", "mcp_server_fetch", "--allow-private-ips"]}
    async with ScriptedServer(behaviour).running() as site:
        (read,) = await called(worlds, server, ("fetch", {"url": f"{site.url}/tides"}))
    assert "The moon pulls the sea." in read
    assert "<p>" not in read
