"""Models without tools: their servers refuse a request that offers some; what was called before becomes text."""

from __future__ import annotations

import re
from functools import partial

from bot.errors import ProviderError, SystemRoleRefused, ToolsRefused
from bot.providers.base import ModelRequest
from bot.providers.refusals import ModelMemory, NoMemory, Part, names
from bot.providers.tool_messages import as_text, with_calls_as_text

_SIGNATURE = re.compile(r"thought.?signature", re.IGNORECASE)


def tools(refusing: ModelMemory) -> Part:
    """The tools of a request, and what it tells of their calls. `refusing`: models that are known to have none."""
    return Part("tools", _without, refusing, _is_meant)


def unsigned_calls() -> Part:
    """Calls that the model has not made itself, or not so that its server can tell, which some refuse."""
    return Part("calls", _without_calls, NoMemory(), partial(names, _SIGNATURE))


def _without_calls(request: ModelRequest) -> ModelRequest:
    return with_calls_as_text(request) if _tells_of_calls(request) else request


def _without(request: ModelRequest) -> ModelRequest:
    return as_text(request) if request.tools or _tells_of_calls(request) else request


def _is_meant(error: ProviderError, request: ModelRequest) -> bool:
    refused_role = isinstance(error, SystemRoleRefused) and _tells_of_calls(request)
    return refused_role or isinstance(error, ToolsRefused)


def _tells_of_calls(request: ModelRequest) -> bool:
    """Whether it has messages of the role `tool`: templates that know none complain about roles."""
    return bool(request.rounds) or any(message.rounds for message in request.messages)
