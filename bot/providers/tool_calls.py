"""Collects the tool calls in a stream: pieces in, complete calls out, for every server's dialect. Pure.

OpenAI numbers its calls and sends the arguments of each in pieces. Ollama gives all calls the number 0, Gemini and
Mistral give none; some servers send ids in every piece, or none at all; some send complete calls, in a chunk or in the
last message; some send the arguments as an object.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bot.domain.tool_calls import ToolCall
from bot.text.characters import whole_characters
from bot.text.untrusted_json import parsed

MAX_LENGTH = 1_000_000
"""Characters of all arguments of one turn together."""
MAX_CALLS = 64
_KEPT_TEXTS = ("text", "summary", "data")
"""Fields of reasoning that arrive in pieces."""
_UNREADABLE = object()


@dataclass
class _Call:
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    extra: Any = None

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def is_whole(self) -> bool:
        """Whether its arguments are a complete object. Parses them only if they may be."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        return isinstance(_parsed(self.arguments), dict)

    def goes_on(self, id_: str, name: str, arguments: str) -> bool:
        """Whether a piece belongs to this call, and does not begin another one under the same number or id."""
        has_other_id = bool(id_ and self.id and id_ != self.id)
        if not name:
            return True
        if self.is_whole():
            is_same = name == self.name and not has_other_id
            return is_same and (not arguments.strip() or arguments == self.arguments)
        return name == self.name if self.pieces else not has_other_id

    def add_name(self, name: str) -> None:
        """Adds a piece of the name; some servers send the whole name in every piece."""
        if name != self.name:
            self.name += name

    def add_arguments(self, arguments: str) -> None:
        """Adds a piece of the arguments. Nothing continues a complete object: another one repeats it, or is a later
        state of it.
        """
        begins_with = arguments.lstrip()[:1]
        if begins_with in ("", "{") and self.is_whole():
            if not begins_with:
                return
            self.pieces.clear()
        if arguments:
            self.pieces.append(arguments)


class ToolCallCollector:
    """Collects the calls of one turn of a model."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._had_deltas = False
        self._length = 0
        self._reasoning: list[str] = []
        self._details: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def too_long(self) -> bool:
        return self._length > MAX_LENGTH or len(self._calls) > MAX_CALLS

    def feed(self, choice: dict[str, Any]) -> bool:
        """Reads the calls in a choice of a chunk; returns whether there were any."""
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            self._note_reasoning(delta)
            pieces = _pieces(delta)
            for piece in pieces:
                self._had_deltas = True
                self._take(piece)
            if pieces:
                return True
        if isinstance(message, dict) and not self._had_deltas and (whole := _pieces(message)):
            self._note_reasoning(message)
            self._calls, self._by_index = [], {}  # some send a growing message
            for piece in whole:
                self._take(piece)
            return True
        return False

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls, with ids that are unique among them, without those that have no name."""
        named = [call for call in self._calls if call.name]
        free = _free_ids({call.id for call in named})
        made: list[ToolCall] = []
        used: set[str] = set()
        for call in named:
            id_ = call.id if call.id and call.id not in used else next(free)
            used.add(id_)
            arguments = _settled(whole_characters(call.arguments))
            extra = "" if call.extra is None else _written(call.extra)
            made.append(ToolCall(id_, whole_characters(call.name), arguments, extra))
        return tuple(made)

    def extra(self) -> str:
        """JSON that the provider wants back with the turn, empty if there is none."""
        kept: dict[str, Any] = {}
        if self._reasoning:
            kept["reasoning_content"] = "".join(self._reasoning)
        if self._details:
            kept["reasoning_details"] = self._details
        return _written(kept) if kept else ""

    def _take(self, piece: dict[str, Any]) -> None:
        if self.too_long:
            return
        function = piece.get("function")
        function = function if isinstance(function, dict) else piece
        id_, name = whole_characters(_text(piece.get("id"))), _text(function.get("name"))
        arguments = _json(function.get("arguments"))
        call = self._call_of(piece.get("index"), id_, name, arguments)
        call.id = call.id or id_
        call.add_name(name)
        call.add_arguments(arguments)
        self._length += len(name) + len(arguments)
        if piece.get("extra_content") is not None:
            call.extra = piece["extra_content"]

    def _call_of(self, index: Any, id_: str, name: str, arguments: str) -> _Call:
        """The call that a piece belongs to."""
        numbered = type(index) is int
        known = self._numbered(index, id_) if numbered else self._unnumbered(id_, name)
        if known is None or not known.goes_on(id_, name, arguments):
            known = _Call()
            self._calls.append(known)
        if numbered:
            self._by_index[index] = known
        return known

    def _numbered(self, index: int, id_: str) -> _Call | None:
        """The call with this number; if several have it, the one with the id."""
        known = self._by_index.get(index)
        if known is None or not id_ or id_ == known.id:
            return known
        return self._with_id(id_) or known

    def _unnumbered(self, id_: str, name: str) -> _Call | None:
        """The call that a piece without a number continues; None: it begins a new one."""
        if id_:
            return self._with_id(id_)
        last = self._calls[-1] if self._calls else None
        if last is None or not name:
            return last
        return last if last.name == name and last.pieces and not last.is_whole() else None

    def _with_id(self, id_: str) -> _Call | None:
        """The last call with this id: some servers give the same id to all."""
        return next((call for call in reversed(self._calls) if call.id == id_), None)

    def _note_reasoning(self, delta: dict[str, Any]) -> None:
        text = delta.get("reasoning_content")
        if isinstance(text, str) and text and self._length <= MAX_LENGTH:
            self._reasoning.append(text)
            self._length += len(text)
        details = delta.get("reasoning_details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict) and self._length <= MAX_LENGTH:
                self._note_detail(detail)

    def _note_detail(self, detail: dict[str, Any]) -> None:
        """Joins the pieces of one part of the reasoning."""
        self._length += sum(len(_text(detail.get(key))) for key in _KEPT_TEXTS)
        last = self._details[-1] if self._details else None
        same = last is not None and all(
            last.get(key) == detail.get(key) for key in ("type", "index")
        )
        if last is None or not same:
            self._details.append(dict(detail))
            return
        for key, value in detail.items():
            if key in _KEPT_TEXTS and isinstance(value, str):
                last[key] = _text(last.get(key)) + value
            elif value is not None:
                last[key] = value


def _pieces(delta: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls in a delta or message, in the current field or its predecessor."""
    calls = delta.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    former = delta.get("function_call")
    if not found and isinstance(former, dict):
        found = [{"index": 0, "function": former}]
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _written(value: Any) -> str:
    """A value as JSON that every server can parse again."""
    return whole_characters(json.dumps(value, ensure_ascii=False))


def _json(arguments: Any) -> str:
    """Arguments as JSON, as most servers send them."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)


def _settled(arguments: str) -> str:
    """Arguments as intended: nothing means an empty object, and a string that contains an object means the object."""
    if not arguments.strip():
        return "{}"
    parsed = _parsed(arguments)
    if isinstance(parsed, str):
        return _settled(parsed)
    return "{}" if parsed is None or parsed == [] else arguments


def _parsed(arguments: str) -> Any:
    try:
        return parsed(arguments)
    except ValueError:
        return _UNREADABLE


def _free_ids(given: Collection[str]) -> Iterator[str]:
    """Ids for calls that have none, or another call's id, in a form that every server accepts."""
    return (id_ for number in count() if (id_ := f"call_{number}") not in given)
