"""A server of tools that breaks every rule does no harm."""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
from pathlib import Path

from bot.tool_calls import CallOutcome
from bot.tools.config import parse_tool_config
from bot.tools.servers import MAX_DESCRIPTION, ToolServers
from tests.deadlines import WAIT_TIMEOUT
from tests.tools import hostile_server
from tests.tools.hostile_server import SECRET


async def test_a_server_that_breaks_every_rule_leaks_nothing_and_floods_nothing(
    tmp_path: Path, log: io.StringIO
) -> None:
    """Names legal and unique, descriptions cut, no list after list, and no word of it in any log."""
    lists = tmp_path / "lists"
    command = {"command": sys.executable, "args": [str(hostile_server.__file__), str(lists)]}
    servers = ToolServers(parse_tool_config(json.dumps({"mcpServers": {"bad": command}}), {}))
    async with servers.running():
        await servers.ready(WAIT_TIMEOUT)
        assert len(servers.tools) == 3
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
        took = asyncio.get_running_loop().time() - began
        assert len(lists.read_text().splitlines()) - before <= took + 2
    assert SECRET not in log.getvalue()
