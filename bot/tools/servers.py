"""All tool servers in the operator's file: their tools under valid names, and calls to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import mcp.types as mcp_types

from bot.domain.tool_calls import MAX_OFFERED, CallResult, Permission, Tool, first_tools
from bot.network import DIRECT, Network
from bot.runtime.tasks import cancelled_on_leaving
from bot.tools.config import ToolConfig, ToolServer
from bot.tools.mcp_connection import AWAY, FIRST_PAUSE, Connection
from bot.tools.names import legal_names

MAX_DESCRIPTION = 1_024
"""Characters of a tool's description that models are sent: some providers reject more."""


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """The state of one server."""

    name: str
    problem: str | None
    """None: it is connected."""
    tools: tuple[Tool, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """The tools that can't be used, each with the reason."""
    unoffered: int = 0
    """How many of its tools models are not sent, because other tools come first."""


class ToolServers:
    """Each server has its own task, so one that is down does not affect the others."""

    def __init__(
        self, config: ToolConfig, network: Network = DIRECT, first_pause: float = FIRST_PAUSE
    ) -> None:
        self._rules = config.rules
        self._connections = {
            server.name: Connection(server, network, self._on_change, first_pause)
            for server in config.servers
        }
        self._tools: dict[str, Tool] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ToolServers]:
        """Keeps all servers connected; local ones are child processes that end here."""
        tasks = [asyncio.create_task(each.run()) for each in self._connections.values()]
        async with cancelled_on_leaving(*tasks):
            yield self

    async def ready(self, seconds: float) -> None:
        """Returns when every server is connected or has failed, after `seconds` at most."""
        waits = [asyncio.create_task(each.tried.wait()) for each in self._connections.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=seconds)
            for wait in late:
                wait.cancel()

    @property
    def tools(self) -> Mapping[str, Tool]:
        """All tools of connected servers that are not denied, by name: servers in the order of the file, each server's
        tools by path.
        """
        return self._tools

    async def call(
        self, tool: Tool, arguments: Mapping[str, Any], seconds: float, *, pictures: bool = False
    ) -> CallResult:
        """Returns the tool's result. Raises only if cancelled; see `Connection.call`."""
        connection = self._connections.get(tool.server)
        if connection is None:
            return AWAY
        return await connection.call(tool.tool, arguments, seconds, pictures=pictures)

    def health(self) -> list[ServerHealth]:
        """All servers with all their tools, including denied ones."""
        offered = {tool.name for tool in first_tools(self._tools.values())}
        return [self._health(each, offered) for each in self._connections.values()]

    def _health(self, connection: Connection, offered: set[str]) -> ServerHealth:
        tools = tuple(self._tools_of(connection))
        late = self._tools.keys() & {tool.name for tool in tools} - offered
        name = connection.server.name
        return ServerHealth(name, connection.problem, tools, connection.left_out, len(late))

    def _on_change(self) -> None:
        found = [tool for each in self._connections.values() for tool in self._tools_of(each)]
        self._tools = {
            tool.name: tool for tool in found if tool.permission is not Permission.DENIED
        }

    def _tools_of(self, connection: Connection) -> list[Tool]:
        server = connection.server.name
        names = legal_names((server, listed.name) for listed in connection.tools)
        return [
            self._tool(connection.server, listed, names[server, listed.name])
            for listed in sorted(connection.tools, key=lambda tool: tool.name)
        ]

    def _tool(self, server: ToolServer, listed: mcp_types.Tool, name: str) -> Tool:
        hints = listed.annotations or mcp_types.ToolAnnotations()
        reads = hints.read_only_hint is True
        description = (listed.description or listed.title or "")[:MAX_DESCRIPTION]
        definition = f"{name}{description}{json.dumps(listed.input_schema)}"
        return Tool(
            name=name,
            server=server.name,
            tool=listed.name,
            description=description,
            schema=listed.input_schema,
            reads=reads,
            repeatable=reads or hints.idempotent_hint is True,
            permission=self._rules.permission(f"{server.name}/{listed.name}", reads=reads),
            size=len(definition.encode("utf-8", "replace")),
        )


def describe(health: ServerHealth) -> str:
    """One line for operators: how many tools it has, and what each may do."""
    if health.problem is not None:
        return health.problem
    parts = [_permissions(health.tools) if health.tools else "has no tools"]
    if health.unoffered:
        parts.append(f"{health.unoffered} not offered: models get {MAX_OFFERED} at most, deny some")
    parts += [f"left out {tool}: {reason}" for tool, reason in health.left_out.items()]
    return "; ".join(parts)


def _permissions(tools: Sequence[Tool]) -> str:
    groups = (
        ("runs", Permission.RUNS),
        ("asks", Permission.ASKS),
        ("denied", Permission.DENIED),
    )
    lists = [
        f"{word}: {', '.join(tool.tool for tool in found)}"
        for word, permission in groups
        if (found := _with(tools, permission))
    ]
    return f"{len(tools)} tools ({'; '.join(lists)})"


def _with(tools: Sequence[Tool], permission: Permission) -> list[Tool]:
    return [tool for tool in tools if tool.permission is permission]
