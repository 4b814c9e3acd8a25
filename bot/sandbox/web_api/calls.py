"""One Web API call: its arguments, the method table's entries, and the journal of what was called and delivered."""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.state.records import Channel, Json
from bot.sandbox.state.workspace import Workspace

if TYPE_CHECKING:
    from bot.sandbox.events.delivery import Delivery
    from bot.sandbox.web_api.services import Links

SECRET_ARGUMENTS = frozenset({"token", "client_secret"})


class Arguments:
    """A call's arguments as they came, by form or JSON; readers refuse what has the wrong shape."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

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
        """A list or an object, given as such or as JSON text; None when missing."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as broken:
                raise SlackRefusal(error, f"[ERROR] {name} is not JSON: {broken}") from broken
        if not isinstance(value, list | dict):
            raise SlackRefusal(error, f"[ERROR] {name} must be a list or an object")
        return value

    def items(self, name: str, error: str = "invalid_arguments") -> list[Json] | None:
        """A list of objects; None when missing."""
        value = self.structure(name, error)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise SlackRefusal(error, f"[ERROR] {name} must be a list of objects")
        return value

    def strings(self, name: str) -> list[str]:
        """A list of strings, given as a list, as JSON text or separated by commas."""
        value = self.values.get(name)
        if isinstance(value, str):
            value = (
                json.loads(value)
                if value.startswith("[")
                else [part for part in value.split(",") if part]
            )
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SlackRefusal("invalid_arguments", f"[ERROR] {name} must be a list of strings")
        return value

    def number(self, name: str, default: int) -> int:
        value = self.values.get(name)
        try:
            return default if value is None or value == "" else int(value)
        except (TypeError, ValueError):
            raise SlackRefusal("invalid_arguments", f"[ERROR] {name} must be an integer") from None

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        return value if isinstance(value, bool) else str(value).lower() in ("1", "true")


@dataclass(slots=True)
class Call:
    """What a method's function gets: the workspace, the arguments, and who asks."""

    method: str
    args: Arguments
    workspace: Workspace
    scopes: frozenset[str]
    links: Links

    def channel(self, name: str = "channel") -> Channel:
        """The channel named by an argument, by id; unknown and invisible ones are `channel_not_found`."""
        channel_id = self.args.required(
            name, "channel_not_found" if name == "channel" else "invalid_arguments"
        )
        channel = self.workspace.channels.get(channel_id)
        if channel is None and channel_id in self.workspace.users:
            channel = self.workspace.direct([channel_id, self.workspace.bot.id])
        if channel is None or not self.workspace.sees(channel, self.workspace.bot.id):
            raise SlackRefusal("channel_not_found")
        return channel

    def writable(self, name: str = "channel") -> Channel:
        """The channel, when the app may post there."""
        channel = self.channel(name)
        if channel.is_archived:
            raise SlackRefusal("is_archived")
        if self.workspace.bot.id not in channel.members:
            raise SlackRefusal("not_in_channel")
        return channel

    def needs(self, scope: str) -> None:
        """Refuse with `missing_scope` unless the app was given `scope`."""
        if scope not in self.scopes:
            raise SlackRefusal(
                "missing_scope", needed=scope, provided=",".join(sorted(self.scopes))
            )


MethodFunction = Callable[[Call], Json]


@dataclass(frozen=True, slots=True)
class Method:
    """A Web API method: its function and the scopes of which the app must have one (none: any token will do)."""

    run: MethodFunction
    scopes: tuple[str, ...] = ()
    app_token: bool = False


@dataclass(slots=True)
class CallRecord:
    """One call in the journal. `result` is None when the answer never left; `error` is Slack's error name or None.

    `injected`: the error was asked for (a Fault), so that it is no refusal.
    """

    id: int
    at: float
    method: str
    args: Json
    result: Json | None = None
    status: int = 200
    error: str | None = None
    duration: float = 0.0
    injected: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None


class Journal:
    """Everything that went between Slack and the app, newest last; the oldest is forgotten beyond `size`."""

    def __init__(self, size: int = 200_000) -> None:
        self.calls: deque[CallRecord] = deque(maxlen=size)
        self.deliveries: deque[Delivery] = deque(maxlen=size)
        self.refusals: list[CallRecord] = []
        self.counts: Counter[str] = Counter()
        self.listeners: list[Callable[[CallRecord | Delivery], None]] = []
        self._numbers = itertools.count(1)

    def number(self) -> int:
        return next(self._numbers)

    def called(self, record: CallRecord) -> None:
        """A call has ended. What Slack refused for other reasons than its rates is kept apart."""
        self.calls.append(record)
        self.counts[record.method] += 1
        if record.error is not None and record.error != "ratelimited" and not record.injected:
            self.refusals.append(record)
        self.changed(record)

    def changed(self, entry: CallRecord | Delivery) -> None:
        for listener in tuple(self.listeners):
            listener(entry)


def public_arguments(values: Mapping[str, Any]) -> Json:
    """The arguments without secrets, as the journal keeps them."""
    return {name: value for name, value in values.items() if name not in SECRET_ARGUMENTS}
