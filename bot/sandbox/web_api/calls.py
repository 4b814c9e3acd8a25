"""One Web API call with its arguments, and the entries of the method tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json


class Arguments:
    """A call's arguments from form or JSON. Reading one raises SlackRefusal if it has the wrong type."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def names(self) -> set[str]:
        """The arguments that were given."""
        return {name for name in self.values if name in self}

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool | dict | list):
            raise SlackRefusal(
                "invalid_arguments", f"[ERROR] must be a string [json-pointer:/{name}]"
            )
        return str(value)

    def required(self, name: str, error: str = "invalid_arguments") -> str:
        value = self.text(name)
        if not value:
            raise SlackRefusal(error, f"[ERROR] missing required field: {name}")
        return value

    def structure(self, name: str, error: str = "invalid_arguments") -> Any:
        """A list or an object, as such or as JSON text; None if missing."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as broken:
                raise SlackRefusal(error, f"[ERROR] {name} is not JSON: {broken}") from broken
        if not isinstance(value, list | dict):
            raise SlackRefusal(error, f"[ERROR] {name} must be a list or an object")
        return value

    def items(self, name: str, error: str = "invalid_arguments") -> list[Json] | None:
        """A list of objects; None if missing."""
        value = self.structure(name, error)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise SlackRefusal(error, f"[ERROR] {name} must be a list of objects")
        return value

    def strings(self, name: str) -> list[str]:
        """A list of strings, given as a list, as JSON text or separated by commas."""
        value = self.values.get(name)
        if isinstance(value, str) and not value.startswith("["):
            return [part.strip() for part in value.split(",") if part.strip()]
        value = self.structure(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SlackRefusal("invalid_arguments", f"[ERROR] {name} must be a list of strings")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.values.get(name)
        try:
            return default if value is None or value == "" else int(value)
        except (TypeError, ValueError, OverflowError):
            raise SlackRefusal("invalid_arguments", f"[ERROR] {name} must be an integer") from None

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        return value if isinstance(value, bool) else str(value).lower() in ("1", "true")


@dataclass(slots=True)
class Call:
    """What a method's function is given: the workspace, the arguments and the caller's scopes."""

    method: str
    args: Arguments
    workspace: Workspace
    scopes: frozenset[str]

    def channel(self, name: str = "channel", *, named: bool = False) -> Channel:
        """The channel that an argument names by id (or, if `named`, by `#name`).

        Raises SlackRefusal `channel_not_found` if there is none, or the app cannot see it.
        """
        channel_id = self.args.required(
            name, "channel_not_found" if name == "channel" else "invalid_arguments"
        )
        channel = self.workspace.channels.get(channel_id)
        if channel is None and named:
            channel = self.workspace.channel_named(channel_id)
        if channel is None and channel_id in self.workspace.users:
            channel = self.workspace.open_dm([channel_id, self.workspace.bot.id])
        if channel is None or not self.workspace.can_see(channel, self.workspace.bot.id):
            raise SlackRefusal("channel_not_found")
        return channel

    def writable(self, name: str = "channel") -> Channel:
        """The channel, if the app may post there as a member."""
        channel = self._open_channel(name)
        if self.workspace.bot.id not in channel.members:
            raise SlackRefusal("not_in_channel")
        return channel

    def postable(self) -> Channel:
        """The channel, given by id or name, if the app may post there: as a member, or publicly with its scope."""
        channel = self._open_channel("channel", named=True)
        public = channel.type == "channel" and "chat:write.public" in self.scopes
        if self.workspace.bot.id not in channel.members and not public:
            raise SlackRefusal("not_in_channel")
        return channel

    def _open_channel(self, name: str, *, named: bool = False) -> Channel:
        channel = self.channel(name, named=named)
        if channel.type == "im" and not self.workspace.features.messages_tab:
            raise SlackRefusal("messages_tab_disabled")
        if channel.is_archived:
            raise SlackRefusal("is_archived")
        return channel

    def needs(self, *scopes: str) -> None:
        """Refuse with `missing_scope` unless the app was given one of these scopes."""
        if self.scopes.isdisjoint(scopes):
            raise SlackRefusal(
                "missing_scope", needed=",".join(scopes), provided=",".join(sorted(self.scopes))
            )


MethodFunction = Callable[[Call], Json]


@dataclass(frozen=True, slots=True)
class Method:
    """A Web API method: its function, the token it takes, and the scopes of which the app must have one."""

    run: MethodFunction
    scopes: tuple[str, ...] = ()
    """Empty: any token of the right kind will do."""
    caller: Literal["bot", "app", "anyone"] = "bot"
    """Whose token the method takes."""
