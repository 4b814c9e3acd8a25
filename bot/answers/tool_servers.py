"""What the tool loop needs from the tool servers, and from the settings of a chat's channel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from bot.domain import Chat
from bot.domain.tool_calls import CallResult, ChannelTools, Tool

RulesOf = Callable[[Chat], Awaitable[ChannelTools]]
"""What a chat's channel allows regarding tools. Raises StorageError."""

RoomForTools = Callable[[Chat], float]
"""The estimated tokens that definitions of tools may take of what a chat's model is sent."""


class Tools(Protocol):
    """What the loop needs of `bot.tools.servers`."""

    @property
    def tools(self) -> Mapping[str, Tool]: ...
    async def ready(self, seconds: float) -> None:
        """Returns when every server is connected or could not be, `seconds` after the first such wait at most."""

    async def call(
        self, tool: Tool, arguments: Mapping[str, Any], seconds: float, *, pictures: bool = False
    ) -> CallResult: ...


class NoTools:
    """Nothing to call."""

    def begin(self) -> None:
        pass

    @property
    def tools(self) -> Mapping[str, Tool]:
        return {}

    async def ready(self, seconds: float) -> None:
        pass

    async def call(
        self, tool: Tool, arguments: Mapping[str, Any], seconds: float, *, pictures: bool = False
    ) -> CallResult:
        raise NotImplementedError
