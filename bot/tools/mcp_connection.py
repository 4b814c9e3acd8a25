"""Keeps one tool server connected: a task connects, lists its tools, and reconnects when the connection has ended.

    away ──connected, listed──▶ open ──the connection ends──▶ away (after a pause that grows)

One task owns a connection: `mcp` must be left in the task that entered it, and an ended connection may cancel that
task. Other tasks make the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import mcp.types as mcp_types
from mcp import Client, MCPError
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from pydantic import TypeAdapter, ValidationError

from bot import english_strings
from bot.domain.tool_calls import CallResult, ToolOutcome
from bot.network import Network
from bot.observability import get_logger
from bot.tools.config import ToolServer
from bot.tools.failures import (
    CERTAINLY_REFUSED,
    REQUEST_TIMEOUT,
    SESSION_GONE,
    UNUSABLE_RESPONSES,
    explain,
)
from bot.tools.listing import FilteredStream
from bot.tools.mcp_transport import connect
from bot.tools.results import cut, first_line, returned

log = get_logger(__name__)

CONNECT_TIMEOUT = 30.0
"""Seconds for connecting and for the first list: `npx` and `uvx` download a server before they start it."""
LIST_TIMEOUT = 20.0
FIRST_PAUSE = 1.0
MAX_PAUSE = 60.0
"""Seconds between two attempts to connect."""
REFRESH_INTERVAL = 60.0
"""Seconds between two requests for the list, which also show whether the server is still there."""
MIN_LIST_INTERVAL = 1.0
"""Seconds between two requests for the list, however often the server announces changes."""
MAX_TOOLS = 500
"""Tools of one server that are considered."""
_MAX_PAGES = 50
MAX_LEFT_OUT = 20
"""Unusable tools of one server that are reported in logs and to operators."""
MAX_REFUSAL = 2_000
"""Characters of a server's message about a call that it refuses."""

AWAY = CallResult(ToolOutcome.FAILED, english_strings.SERVER_AWAY)
UNKNOWN = CallResult(ToolOutcome.UNKNOWN, english_strings.CALL_BROKEN)
NOT_IN_TIME = CallResult(ToolOutcome.UNKNOWN, english_strings.CALL_LATE)
UNREADABLE = CallResult(ToolOutcome.UNKNOWN, english_strings.CALL_UNREADABLE)
WANTS_INPUT = CallResult(ToolOutcome.FAILED, english_strings.CALL_WANTS_INPUT)


class Connection:
    """Keeps one server connected while `run` is running."""

    def __init__(
        self,
        server: ToolServer,
        network: Network,
        on_change: Callable[[], None],
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """`on_change`: called whenever its list of tools may have changed. `first_pause`: before the second attempt."""
        self.server = server
        self.tools: Sequence[mcp_types.Tool] = ()
        """Those listed last; empty while it is away."""
        self.left_out: Mapping[str, str] = {}
        """Tools that can't be used, each with the reason."""
        self.problem: str | None = "is being connected"
        """Why it is away; None while it is open."""
        self.tried = asyncio.Event()
        """Set once it has been connected, or could not be."""
        self._network = network
        self._on_change = on_change
        self._first_pause = first_pause
        self._client: Client | None = None
        self._wanted = asyncio.Event()
        """Set when the list must be read again."""
        self._broken = False
        self._leaving_out: dict[str, str] = {}
        self._status: int | None = None
        self._login: str | None = None

    async def run(self) -> None:
        """Connects, and reconnects whenever the connection ends. Never returns, never raises."""
        pause = self._first_pause
        while True:
            owner = asyncio.create_task(self._own(), name=f"tool server {self.server.name}")
            try:
                await asyncio.wait([owner])
            finally:
                owner.cancel()
                await asyncio.wait([owner])
            pause = self._first_pause if self._note_end(owner) else min(MAX_PAUSE, pause * 2)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))

    def _note_end(self, owner: asyncio.Task[None]) -> bool:
        """Records the end of a connection; returns whether it had been open."""
        was_open = self.problem is None
        error = None if owner.cancelled() else owner.exception()
        self.problem = (
            explain(error, self._status, self._login) if error else "ended the connection"
        )
        self.tools, self.left_out, self._client = (), {}, None
        self.tried.set()
        log.warning("tool_server_unavailable", server=self.server.name, reason=self.problem)
        if was_open:
            self._on_change()
        return was_open

    async def _own(self) -> None:
        """Owns one connection, from its beginning to its end."""
        self._status, self._login, self._broken = None, None, False
        self._wanted.clear()
        streams = connect(
            self.server, self._network, LIST_TIMEOUT * 6, self._note_status, self._note_login
        )
        client = Client(
            self._filtered(streams),
            message_handler=self._on_message,
            read_timeout_seconds=CONNECT_TIMEOUT,
            cache=None,
        )
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await stack.enter_async_context(client)
                self.tools = await self._listed(client)
            self._client, self.problem = client, None
            log.info("tool_server_open", server=self.server.name, tools=len(self.tools))
            self._on_change()
            self.tried.set()
            listener = asyncio.create_task(self._listen(client), name="tool list changes")
            try:
                await self._keep_listed(client)
            finally:
                listener.cancel()
                await asyncio.wait([listener])

    @contextlib.asynccontextmanager
    async def _filtered(self, streams: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        """The same streams, without unusable tools."""
        async with streams as (read, write):
            yield FilteredStream(read, self._leaving_out.__setitem__), write

    async def _keep_listed(self, client: Client) -> None:
        """Reads the list when it changes, and periodically. Returns when a call has found the connection ended."""
        while not self._broken:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_INTERVAL):
                    await self._wanted.wait()
            self._wanted.clear()
            if self._broken:
                return
            async with asyncio.timeout(LIST_TIMEOUT):
                tools = await self._listed(client)
            if tools != self.tools:
                self.tools = tools
                self._on_change()
            await asyncio.sleep(MIN_LIST_INTERVAL)

    async def _listed(self, client: Client) -> list[mcp_types.Tool]:
        self._leaving_out.clear()
        found: list[mcp_types.Tool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None or len(found) >= MAX_TOOLS:
                break
        self._note_left_out()
        return found[:MAX_TOOLS]

    def _note_left_out(self) -> None:
        left_out = dict(sorted(self._leaving_out.items())[:MAX_LEFT_OUT])
        if left_out != self.left_out:
            self.left_out = left_out
            for tool, reason in left_out.items():
                log.warning("tool_left_out", server=self.server.name, tool=tool, reason=reason)

    async def _listen(self, client: Client) -> None:
        """Receives announcements of changes from servers of the newer protocol; others send messages."""
        with contextlib.suppress(ListenNotSupportedError, SubscriptionLost, MCPError, TimeoutError):
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._wanted.set()

    async def _on_message(self, message: Any) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._wanted.set()

    def _note_status(self, status: int | None) -> None:
        self._status = status

    def _note_login(self, problem: str | None) -> None:
        self._login = problem

    async def call(
        self, tool: str, arguments: Mapping[str, Any], seconds: float, *, pictures: bool = False
    ) -> CallResult:
        """Returns a tool's result, within `seconds`. Raises only if its task is cancelled, which ends the call.

        `pictures`: whether the model can see any.
        """
        client = self._client
        if client is None:
            return AWAY
        try:
            async with asyncio.timeout(seconds):
                result = await _unchecked(client, tool, arguments, seconds + 1.0)
        except TimeoutError:
            return NOT_IN_TIME
        except MCPError as error:
            return self._refused(error)
        except ValidationError:
            return UNREADABLE
        except Exception as error:  # whatever form the end of the connection takes here
            log.info("tool_call_interrupted", server=self.server.name, reason=type(error).__name__)
            self._end()
            return UNKNOWN
        if isinstance(result, mcp_types.InputRequiredResult):
            return WANTS_INPUT
        outcome = ToolOutcome.FAILED if result.is_error else ToolOutcome.DONE
        return CallResult(outcome, *returned(result, pictures=pictures))

    def _refused(self, error: MCPError) -> CallResult:
        code, message = error.error.code, error.error.message
        if message.startswith(UNUSABLE_RESPONSES):
            self._wanted.set()
            return UNREADABLE
        if message == SESSION_GONE:
            self._end()
            return AWAY
        if code == mcp_types.HEADER_MISMATCH:
            self._wanted.set()
        if code in CERTAINLY_REFUSED:
            text = english_strings.CALL_REFUSED.format(reason=message)
            return CallResult(ToolOutcome.FAILED, cut(text, MAX_REFUSAL))
        if code == REQUEST_TIMEOUT:
            return NOT_IN_TIME
        if code == mcp_types.CONNECTION_CLOSED and message == _CLOSED:
            self._end()
            return UNKNOWN
        self._wanted.set()  # requesting the list shows whether the server is still there
        reason = first_line([message])
        return CallResult(ToolOutcome.UNKNOWN, english_strings.CALL_ERROR.format(reason=reason))

    def _end(self) -> None:
        """Ends the connection: its owner leaves it, and reconnects."""
        self._broken = True
        self._wanted.set()


_CLOSED = "Connection closed"
"""`mcp`'s message for a closed connection; servers use its error code for other errors too."""
_ANSWER = TypeAdapter[mcp_types.CallToolResult | mcp_types.InputRequiredResult](
    mcp_types.CallToolResult | mcp_types.InputRequiredResult
)


async def _unchecked(
    client: Client, tool: str, arguments: Mapping[str, Any], seconds: float
) -> mcp_types.CallToolResult | mcp_types.InputRequiredResult:
    """Returns a tool's result without checking the output schema.

    `Client.call_tool` would discard a result that violates the schema although the call took effect, and would run the
    untrusted regular expressions of the schema on the event loop.
    """
    parameters = mcp_types.CallToolRequestParams(name=tool, arguments=dict(arguments))
    return await client.session.send_request(
        mcp_types.CallToolRequest(params=parameters),
        _ANSWER,
        request_read_timeout_seconds=seconds,
    )
