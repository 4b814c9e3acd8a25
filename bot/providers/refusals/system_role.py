"""Models without a system role: their servers refuse a system message, so the instructions go before the first turn."""

from __future__ import annotations

from dataclasses import replace

from bot.errors import SystemRoleRefused
from bot.providers.base import ModelRequest
from bot.providers.refusals.parts import ModelMemory, Part


def system_role(refusing: ModelMemory) -> Part:
    """The system message as a part of a request. `refusing`: models that are known to have no system role."""
    return Part(
        "system role",
        without_system_role,
        refusing,
        is_meant=lambda error, request: isinstance(error, SystemRoleRefused),
    )


def without_system_role(request: ModelRequest) -> ModelRequest:
    """The same request with the system prompt at the beginning of its first message."""
    if not (request.system and request.messages):
        return request
    first, *rest = request.messages
    text = "\n\n".join(text for text in (request.system, first.text) if text)
    return replace(request, system="", messages=[replace(first, text=text), *rest])
