"""What a Slack call is about, and what it sets. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

_SET_BY = {
    "chat.update": ("channel", "ts"),
    "assistant.threads.setStatus": ("channel_id", "thread_ts"),
    "assistant.threads.setTitle": ("channel_id", "thread_ts"),
    "agents.sessions.rename": ("channel_id", "thread_ts"),
}
"""Methods that replace a whole value, and the arguments that identify it: of several queued calls, only the newest is
made.
"""


def channel_of(arguments: dict[str, Any]) -> str:
    """The channel that the call is about; empty for none."""
    return arguments.get("channel") or arguments.get("channel_id") or ""


def target_of(method: str, arguments: dict[str, Any]) -> Hashable:
    """What the call sets, if a newer call of the same kind makes it superfluous."""
    names = _SET_BY.get(method)
    return None if names is None else (method, *(arguments.get(name) for name in names))
