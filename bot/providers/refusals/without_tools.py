"""Models without tools: their servers refuse a request that offers any; earlier calls become text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bot.domain.tool_calls import Tool
from bot.errors import ProviderError, RequestRefused, SystemRoleRefused, ToolsRefused
from bot.providers.base import ModelRequest
from bot.providers.refusals.parts import ModelMemory, NoMemory, Part, names
from bot.providers.tool_messages import as_text, with_calls_as_text

MAX_REFUSED = 10
"""The most tools that are left out one by one."""
_SIGNATURE = re.compile(r"thought.?signature", re.IGNORECASE)


def tools(refusing: ModelMemory) -> Part:
    """The tools of a request, and its record of their calls. `refusing`: models that are known to have none."""
    return Part("tools", _without, refusing, _is_meant)


def single_tools(request: ModelRequest, refusing: Callable[[Tool], ModelMemory]) -> list[Part]:
    """Each tool of a request separately: servers reject the whole request because of one tool's schema.

    `refusing`: the models that are known to refuse a tool.
    """
    fewest = len(request.tools) - MAX_REFUSED
    return [
        Part(
            f"tool {tool.path}",
            partial(_without_tool, tool),
            refusing(tool),
            partial(_is_named, tool, fewest),
        )
        for tool in request.tools
    ]


def _without_tool(tool: Tool, request: ModelRequest) -> ModelRequest:
    left = [each for each in request.tools if each is not tool]
    if len(left) == len(request.tools):
        return request
    return replace(request, tools=left) if left else as_text(request)


def _is_named(tool: Tool, fewest: int, error: ProviderError, request: ModelRequest) -> bool:
    """Whether a refusal names the tool, or its position: as `tools[3]` or `tools.3`."""
    if not isinstance(error, RequestRefused) or len(request.tools) <= fewest:
        return False
    place = next((n for n, each in enumerate(request.tools) if each is tool), None)
    named = rf"\btools(\[{place}\]|\.{place}\b)|(?<![\w-]){re.escape(tool.name)}(?![\w-])"
    return place is not None and re.search(named, error.detail) is not None


def unsigned_calls() -> Part:
    """Calls made by other models, or not verifiable by the server, which some servers reject."""
    return Part("calls", _without_calls, NoMemory(), partial(names, _SIGNATURE))


def _without_calls(request: ModelRequest) -> ModelRequest:
    return with_calls_as_text(request) if _mentions_calls(request) else request


def _without(request: ModelRequest) -> ModelRequest:
    return as_text(request) if request.tools or _mentions_calls(request) else request


def _is_meant(error: ProviderError, request: ModelRequest) -> bool:
    refused_role = isinstance(error, SystemRoleRefused) and _mentions_calls(request)
    return refused_role or isinstance(error, ToolsRefused)


def _mentions_calls(request: ModelRequest) -> bool:
    """Whether it has messages with the role `tool`: templates without it complain about roles."""
    return bool(request.rounds) or any(message.rounds for message in request.messages)
