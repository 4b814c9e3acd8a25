"""A server of tools that breaks every rule does no harm."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
from pathlib import Path
from typing import Any, cast

from bot.network import DIRECT
from bot.tool_calls import CallOutcome
from bot.tools.config import parse_tool_config
from bot.tools.late import LateToolServers
from bot.tools.servers import MAX_DESCRIPTION, ToolServers
from tests.deadlines import WAIT_TIMEOUT
from tests.tools import hostile_server
from tests.tools.hostile_server import SECRET


async def test_a_server_that_breaks_every_rule_leaks_nothing_and_floods_nothing(
    tmp_path: Path, log: io.StringIO
) -> None:
    """Names legal and unique, descriptions cut, no list after list, and no word of it in any log.

    A result counts though it breaks its tool's own schema, which is never checked: its patterns are the server's.
    """
    lists = tmp_path / "lists"
    command = {"command": sys.executable, "args": [str(hostile_server.__file__), str(lists)]}
    servers = ToolServers(parse_tool_config(json.dumps({"mcpServers": {"bad": command}}), {}))
    async with servers.running():
        await servers.ready(WAIT_TIMEOUT)
        assert len(servers.tools) == 4
        for name, tool in servers.tools.items():
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name)
            assert len(tool.description) <= MAX_DESCRIPTION
        before = len(lists.read_text().splitlines())
        began = asyncio.get_running_loop().time()
        result = await servers.call(servers.tools["bad__go"], {"text": SECRET}, WAIT_TIMEOUT)
        assert result.outcome is CallOutcome.DONE
        assert SECRET in result.text
        assert "\x00" not in result.text  # PostgreSQL could not store it
        refused = await servers.call(servers.tools["bad__go"], {}, WAIT_TIMEOUT)
        assert refused.outcome is CallOutcome.DONE
        broken = await servers.call(servers.tools["bad__mute"], {}, WAIT_TIMEOUT)
        assert (broken.outcome, SECRET in broken.text) == (CallOutcome.DONE, True)
        garbled = await servers.call(servers.tools["bad__go"], {"nonsense": 1}, WAIT_TIMEOUT)
        assert garbled.outcome is CallOutcome.UNKNOWN
        assert servers.health()[0].problem is None
        took = asyncio.get_running_loop().time() - began
        assert len(lists.read_text().splitlines()) - before <= took + 2
    assert SECRET not in log.getvalue()


async def test_servers_that_cannot_be_started_are_told_of_and_hold_nobody_up(
    log: io.StringIO,
) -> None:
    """Answers go on without tools at once."""
    late = LateToolServers(cast("Any", None), DIRECT)
    async with asyncio.timeout(WAIT_TIMEOUT), late.running():
        late.begin()
        await late.ready(10 * WAIT_TIMEOUT)
    assert late.tools == {}
    assert "tool_servers_failed" in log.getvalue()
