"""Tools that models may call, and their calls: frozen values that need no library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from bot.domain.files import Attachment
from bot.text.characters import whole_characters
from bot.text.untrusted_json import parsed

PIN_SHOWN = 12
"""Characters of a tool's pin that are part of an approval's id."""


class Permission(StrEnum):
    """Whether a tool call may be made."""

    RUNS = "runs"
    """Immediately: it only reads, or the operator allows it."""
    ASKS = "asks"
    """After the asker's approval."""
    DENIED = "denied"
    """Never: models don't see it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of one server, as models know it."""

    name: str
    """Unique across all servers, and valid for every provider: `[a-zA-Z0-9_-]{1,64}`."""
    server: str
    """The server's name in the operator's file."""
    tool: str
    """The tool's name on its server."""
    description: str = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)
    """JSON Schema of its arguments."""
    reads: bool = False
    """The server declares that the tool only reads."""
    repeatable: bool = False
    """A call may be repeated after an unknown outcome: the tool only reads, or repeating it has no further effect."""
    permission: Permission = Permission.ASKS
    size: int = 0
    """Bytes of its definition as sent to models."""

    @property
    def path(self) -> str:
        """`server/tool`: its name for people, globs and logs."""
        return f"{self.server}/{self.tool}"

    @property
    def pin(self) -> str:
        """A hash of its definition: an approval is valid for this definition only."""
        definition = [self.path, self.description, self.schema, self.reads, self.repeatable]
        return hashlib.sha256(
            json.dumps(definition, sort_keys=True, default=str).encode()
        ).hexdigest()


MAX_OFFERED = 128
"""Tools that a model is sent: OpenAI and others refuse requests with more."""


def first_tools(tools: Iterable[Tool]) -> list[Tool]:
    """The tools that a model is sent: the first ones of those that it may use."""
    return list(islice(tools, MAX_OFFERED))


PICTURES_LEFT_OUT = "[The pictures that this call returned are left out here]"
MAX_PATTERN = 75
"""Characters of a pattern: what Slack allows in the value of a menu option."""
NO_TOOLS = "-"
"""The pattern that matches no tool."""


@dataclass(frozen=True, slots=True)
class ChannelTools:
    """The channel's rules about tools, as patterns: `server/tool`, or its beginning followed by `*`."""

    use: tuple[str, ...] = ()
    """Only these may be used; empty: all that the operator allows."""
    ask: tuple[str, ...] = ()
    """These need approval, even if the operator lets them run."""

    def permission(self, tool: Tool) -> Permission:
        """The stricter of the operator's and the channel's permission."""
        if self.use and not _matches(tool.path, self.use):
            return Permission.DENIED
        if tool.permission is Permission.RUNS and _matches(tool.path, self.ask):
            return Permission.ASKS
        return tool.permission


ALL_TOOLS = ChannelTools()
"""The rules of a channel without settings."""


def pattern_of(path: str) -> str:
    """The pattern of one tool. The pattern of a very long path also matches others that begin the same way."""
    return path if len(path) <= MAX_PATTERN else f"{path[: MAX_PATTERN - 1]}*"


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(
        path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern
        for pattern in patterns
    )


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model wants made."""

    id: str
    """The model's own id, or a generated one if it gave none; unique within the answer."""
    name: str
    """A `Tool.name`, or whatever name the model invented."""
    arguments: str = field(repr=False)
    """JSON, as the model wrote it."""
    extra: str = field(default="", repr=False)
    """JSON that the provider wants back unchanged with the call, such as Gemini's thought signature."""


@dataclass(frozen=True, slots=True)
class ToolRound:
    """One turn in which a model called tools, with the results."""

    text: str = field(repr=False)
    """What the model wrote before the calls."""
    calls: tuple[ToolCall, ...]
    results: tuple[str, ...] = field(repr=False)
    """One for each call, in the same order."""
    extra: str = field(default="", repr=False)
    """JSON that the provider wants back unchanged with the turn, such as DeepSeek's reasoning."""
    pictures: tuple[tuple[Attachment, ...], ...] = ()
    """The pictures that each call returned, in the same order; empty if no call returned any."""

    @property
    def all_pictures(self) -> tuple[Attachment, ...]:
        return tuple(picture for each in self.pictures for picture in each)

    def without_pictures(self, calls: int) -> ToolRound:
        """The same turn, with a note in place of the pictures of its first `calls` calls."""
        results, kept = list(self.results), list(self.pictures)
        for at, pictures in enumerate(self.pictures[:calls]):
            if pictures:
                results[at], kept[at] = pictures_left_out(results[at]), ()
        return replace(self, results=tuple(results), pictures=tuple(kept))


def pictures_left_out(result: str) -> str:
    """A call's result, with a note that its pictures are not sent."""
    return f"{result}\n\n{PICTURES_LEFT_OUT}"


class CallState(StrEnum):
    """How far a stored call is. The names are stored.

    asked ──allowed──▶ ready ──▶ calling ──▶ done, failed
      └────────▶ denied            └──the process ends──▶ ready (if it may be repeated), else unknown
    """

    ASKED = "asked"
    """It waits for the asker's decision."""
    READY = "ready"
    """It may be made."""
    CALLING = "calling"
    """It is about to be made, or in progress, or its process has ended."""
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    UNKNOWN = "unknown"
    """It may have taken effect. It is never repeated automatically."""

    @property
    def ended(self) -> bool:
        """Whether its result is final."""
        return self in (CallState.DONE, CallState.FAILED, CallState.DENIED, CallState.UNKNOWN)


class Decision(StrEnum):
    """The asker's decision about a call."""

    ONCE = "once"
    ALWAYS = "always"
    """Allows this call and all later calls of the same tool for the asker's questions in this chat."""
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class StoredCall:
    """One call, as stored in its row."""

    id: str
    """Also identifies its approval."""
    answer_id: str
    round: int
    number: int
    """Its position in the round."""
    call: ToolCall
    path: str
    """`Tool.path`; the model's own name if there is no such tool."""
    state: CallState
    pin: str = ""
    """`Tool.pin` when it was asked for."""
    repeatable: bool = False
    text_before: str = field(default="", repr=False)
    round_extra: str = field(default="", repr=False)
    result: str = field(default="", repr=False)
    pictures: tuple[Attachment, ...] = ()
    """The returned pictures that can be sent to a model."""
    seconds: float | None = None
    asker: str | None = None
    """Slack id of the user whose question led to it: the only person who may decide."""
    asked: bool = False
    """Whether it needed a decision."""
    overdue: bool = False
    """Whether it counts as denied because nobody decided in time."""
    decided_by: str | None = None
    """Who decided about it; for a tool that was allowed for the whole chat, the asker."""
    stopped: bool = False
    """Whether its answer ended before or during the call."""
    message_ts: str | None = None
    """The Slack message that asks for the decision."""
    shown_state: CallState | None = None
    """What that message shows, or is about to show. DENIED before the call itself is denied: see `unaskable`."""

    def shows(self, state: CallState) -> bool:
        """Whether the message exists and shows this state."""
        return self.message_ts is not None and self.shown_state is state

    @property
    def unaskable(self) -> bool:
        """Whether nobody can decide about it, because Slack permanently refuses the message that would ask."""
        refused = self.message_ts is None and self.shown_state is CallState.DENIED
        return self.state is CallState.ASKED and refused

    @property
    def approval(self) -> str:
        """The approval's id: for this call and this definition of the tool."""
        return f"{self.id}-{self.pin[:PIN_SHOWN]}"


def next_call(turn: Sequence[StoredCall], reads: Callable[[StoredCall], bool]) -> StoredCall | None:
    """The first call that may be made now: no call with effects precedes an earlier one that waits. `calls` are in
    order.
    """
    waits = False
    for call in turn:
        if call.state is CallState.READY and (not waits or reads(call)):
            return call
        waits = waits or call.state is CallState.ASKED
    return None


def arguments_hash(arguments: str) -> str:
    """The hash of the arguments for the audit log."""
    return hashlib.sha256(arguments.encode("utf-8", "replace")).hexdigest()


class ToolOutcome(StrEnum):
    """How a call ended."""

    DONE = "done"
    FAILED = "failed"
    """The tool or its server refused it, or it was certainly not made."""
    UNKNOWN = "unknown"
    """It may have taken effect."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call returned."""

    outcome: ToolOutcome
    text: str = field(repr=False)
    """For the model; untrusted data. With UNKNOWN: one sentence with the reason."""
    pictures: tuple[str, ...] = field(default=(), repr=False)
    """In base64, unchecked: those that `text` calls "Picture 1" and so on."""


def parsed_arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call, with whole characters only.

    Raises ValueError when they are not a JSON object that can be passed on.
    """
    arguments = parsed(call.arguments or "{}")
    if not isinstance(arguments, dict):
        raise ValueError("not a JSON object")
    json.dumps(arguments, allow_nan=False)
    return {whole_characters(name): _whole(value) for name, value in arguments.items()}


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {whole_characters(name): _whole(each) for name, each in value.items()}
    return value


def is_object(call: ToolCall) -> bool:
    """Whether its arguments are a JSON object."""
    try:
        parsed_arguments(call)
    except ValueError:
        return False
    return True
