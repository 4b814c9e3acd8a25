"""Tools that models may call, and their calls: frozen values that need no library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from bot.characters import whole_characters
from bot.domain import Attachment
from bot.untrusted_json import parsed

PIN_SHOWN = 12
"""Characters of a tool's pin that stand in the name of an approval."""


class Permission(StrEnum):
    """Whether a tool call may be made."""

    RUNS = "runs"
    """At once: it only reads, or the operator allows it."""
    ASKS = "asks"
    """After the asker's approval."""
    DENIED = "denied"
    """Never: models don't learn of it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool of one server, as models know it."""

    name: str
    """Unique among all servers, and legal for every provider: `[a-zA-Z0-9_-]{1,64}`."""
    server: str
    """The server's name in the operator's file."""
    tool: str
    """The name by which the server knows it."""
    description: str = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)
    """JSON Schema of its arguments."""
    reads: bool = False
    """The server says that it only reads."""
    repeatable: bool = False
    """A call may be made again after one of unknown outcome: it only reads, or has the same effect only once."""
    permission: Permission = Permission.ASKS
    size: int = 0
    """Bytes of its definition, as models are sent it."""

    @property
    def path(self) -> str:
        """`server/tool`: what people, globs and logs call it."""
        return f"{self.server}/{self.tool}"

    @property
    def pin(self) -> str:
        """A hash of its definition: an approval counts for this definition only."""
        said = [self.path, self.description, self.schema, self.reads, self.repeatable]
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


MAX_OFFERED = 128
"""Tools that a model is sent: OpenAI and others refuse requests with more."""


def first_tools(tools: Iterable[Tool]) -> list[Tool]:
    """Those that a model is sent, of all that it may be: the first ones."""
    return list(islice(tools, MAX_OFFERED))


PICTURES_LEFT_OUT = "[The pictures that this call returned are left out here]"
MAX_PATTERN = 75
"""Characters of a pattern: what Slack allows in the value of a menu's option."""
NO_TOOLS = "-"
"""The pattern that no tool matches."""


@dataclass(frozen=True, slots=True)
class ChannelTools:
    """What a channel's admins say of tools, as patterns: `server/tool`, or its beginning and `*`."""

    use: tuple[str, ...] = ()
    """Only these may be used; empty: all that the operator allows."""
    ask: tuple[str, ...] = ()
    """These are asked about, even where the operator lets them run."""

    def permission(self, tool: Tool) -> Permission:
        """The stricter of what the operator and the channel say."""
        if self.use and not _matches(tool.path, self.use):
            return Permission.DENIED
        if tool.permission is Permission.RUNS and _matches(tool.path, self.ask):
            return Permission.ASKS
        return tool.permission


ALL_TOOLS = ChannelTools()
"""Where no admin has said anything."""


def pattern_of(path: str) -> str:
    """The pattern of one tool. That of a very long path matches others that begin in the same way, too."""
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
    """The model's own, or one that was made up where it gave none; unique within the answer."""
    name: str
    """A `Tool.name`, or what the model made of it."""
    arguments: str = field(repr=False)
    """JSON, as the model wrote it."""
    extra: str = field(default="", repr=False)
    """JSON: what the provider wants back with the call, unchanged, such as Gemini's signature of its thoughts."""


@dataclass(frozen=True, slots=True)
class ToolRound:
    """One turn in which a model called tools, with what they returned."""

    text: str = field(repr=False)
    """What it wrote before the calls."""
    calls: tuple[ToolCall, ...]
    results: tuple[str, ...] = field(repr=False)
    """One for each call, in the same order."""
    extra: str = field(default="", repr=False)
    """JSON: what the provider wants back with the turn, unchanged, such as DeepSeek's reasoning."""
    pictures: tuple[tuple[Attachment, ...], ...] = ()
    """Those that each call returned, in the same order; empty: no call did."""

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
    """What a call returned, with the note that its pictures are not sent."""
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
    """It is about to be made, or under way, or its process has ended."""
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    UNKNOWN = "unknown"
    """It may have taken effect. It is never made again by itself."""

    @property
    def ended(self) -> bool:
        """Whether its result stands."""
        return self in (CallState.DONE, CallState.FAILED, CallState.DENIED, CallState.UNKNOWN)


class Decision(StrEnum):
    """What the asker says about a call."""

    ONCE = "once"
    ALWAYS = "always"
    """And about all calls of the same tool for their questions in this chat."""
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class StoredCall:
    """One call as its row has it."""

    id: str
    """Names the approval, too."""
    answer_id: str
    round: int
    number: int
    """Its place in the round."""
    call: ToolCall
    path: str
    """`Tool.path`; the model's own name where there is no such tool."""
    state: CallState
    pin: str = ""
    """`Tool.pin` when it was asked for."""
    repeatable: bool = False
    said: str = field(default="", repr=False)
    round_extra: str = field(default="", repr=False)
    result: str = field(default="", repr=False)
    pictures: tuple[Attachment, ...] = ()
    """Those that it returned and that a model can be sent."""
    seconds: float | None = None
    asker: str | None = None
    """Slack id of whose question led to it: the only person who may decide."""
    asked: bool = False
    """It needed a decision."""
    overdue: bool = False
    """Nobody has decided for so long that it counts as denied."""
    decided_by: str | None = None
    """Who has said that it may be made, or may not; for a tool call that was allowed for the chat: its asker."""
    stopped: bool = False
    """Its answer ended before the call was made, or while it was."""
    message_ts: str | None = None
    """The Slack message that asks for the decision."""
    shown_state: CallState | None = None
    """What that message shows, or was to show when it was about to be posted; DENIED before it is: see `unaskable`."""

    def shows(self, state: CallState) -> bool:
        """Whether the message is there and shows this."""
        return self.message_ts is not None and self.shown_state is state

    @property
    def unaskable(self) -> bool:
        """Nobody can decide about it: Slack refuses for good the message that would ask."""
        refused = self.message_ts is None and self.shown_state is CallState.DENIED
        return self.state is CallState.ASKED and refused

    @property
    def approval(self) -> str:
        """Names the decision: about this tool call of this definition."""
        return f"{self.id}-{self.pin[:PIN_SHOWN]}"


def next_call(turn: Sequence[StoredCall], reads: Callable[[StoredCall], bool]) -> StoredCall | None:
    """The first that may be made now: no effect comes before that of an earlier call that waits. Calls in order."""
    waits = False
    for call in turn:
        if call.state is CallState.READY and (not waits or reads(call)):
            return call
        waits = waits or call.state is CallState.ASKED
    return None


def arguments_hash(arguments: str) -> str:
    """What the audit log has of arguments."""
    return hashlib.sha256(arguments.encode("utf-8", "replace")).hexdigest()


class CallOutcome(StrEnum):
    """How a call ended."""

    DONE = "done"
    FAILED = "failed"
    """The tool or its server refused it, or it was certainly not made."""
    UNKNOWN = "unknown"
    """It may have taken effect."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call returned."""

    outcome: CallOutcome
    text: str = field(repr=False)
    """For the model; data from a stranger. With UNKNOWN: one sentence that says why."""
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
