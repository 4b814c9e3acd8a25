"""Tool servers whose code is loaded in the background after startup: `mcp` is large, and nobody needs a tool yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bot import english_strings
from bot.domain.tool_calls import CallResult, Tool, ToolOutcome
from bot.network import Network
from bot.observability import get_logger
from bot.runtime.tasks import cancelled_on_leaving
from bot.tools.config import ToolConfig

if TYPE_CHECKING:
    from bot.tools.servers import ToolServers

log = get_logger(__name__)

_NOT_YET = CallResult(ToolOutcome.FAILED, english_strings.SERVER_AWAY)


class LazyToolServers:
    """Has no tools until the servers are there; see `bot.tools.servers.ToolServers`."""

    def __init__(self, config: ToolConfig, network: Network) -> None:
        self._config = config
        self._network = network
        self._servers: ToolServers | None = None
        self._ready_until = 0.0
        """By the loop's clock; 0: nobody has waited yet."""
        self._wanted = asyncio.Event()
        self._loaded = asyncio.Event()

    def begin(self) -> None:
        """Loads the servers' code; called when everything else has started."""
        self._wanted.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LazyToolServers]:
        """Keeps all servers connected from `begin` on, once their code is loaded."""
        task = asyncio.create_task(self._run(), name="tool servers")
        async with cancelled_on_leaving(task):
            yield self

    async def _run(self) -> None:
        await self._wanted.wait()
        try:
            await self._keep_connected()
        except Exception as error:  # answers work without tools
            log.error("tool_servers_failed", reason=type(error).__name__)
        finally:
            self._servers = None
            self._loaded.set()

    async def _keep_connected(self) -> None:
        """Never returns."""
        await asyncio.to_thread(import_module, "bot.tools.servers")
        from bot.tools.servers import ToolServers

        async with ToolServers(self._config, self._network).running() as self._servers:
            self._loaded.set()
            await asyncio.Event().wait()

    async def ready(self, seconds: float) -> None:
        """Returns when every server is connected or has failed, or `seconds` after the first such wait."""
        now = asyncio.get_running_loop().time()
        self._ready_until = self._ready_until or now + seconds
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._ready_until):
                await self._loaded.wait()
                if self._servers is not None:
                    await self._servers.ready(seconds)

    @property
    def tools(self) -> Mapping[str, Tool]:
        """All tools of connected servers that are not denied, by name."""
        return {} if self._servers is None else self._servers.tools

    async def call(
        self, tool: Tool, arguments: Mapping[str, Any], seconds: float, *, pictures: bool = False
    ) -> CallResult:
        """Returns the tool's result. Raises only if cancelled; see `Connection.call`."""
        if self._servers is None:
            return _NOT_YET
        return await self._servers.call(tool, arguments, seconds, pictures=pictures)
