"""Collects the calls of tools in a stream: pieces in, whole calls out, whatever the server's dialect. Pure.

OpenAI numbers its calls and sends the arguments of each in pieces. Ollama gives all calls the number 0, and Gemini and
Mistral none; some send ids in every piece, or none at all; some send whole calls, in a chunk or in the last message;
some send the arguments as an object.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bot.tool_calls import ToolCall

MAX_LENGTH = 1_000_000
"""Characters of all arguments of one turn together."""
MAX_CALLS = 64
_KEPT_TEXTS = ("text", "summary", "data")
"""Fields of reasoning that come in pieces."""


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
        try:
            return isinstance(json.loads(self.arguments), dict)
        except ValueError:
            return False


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
        """Takes what a choice of a chunk says of calls; whether it says anything."""
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
            self._calls, self._by_index = [], {}  # some send a message that grows
            for piece in whole:
                self._take(piece)
            return True
        return False

    def calls(self) -> tuple[ToolCall, ...]:
        """The calls, with ids that are unique among them. One without a name is none."""
        made: list[ToolCall] = []
        used: set[str] = set()
        for number, call in enumerate(each for each in self._calls if each.name):
            id_ = call.id if call.id and call.id not in used else f"call_{number}_{call.name}"[:40]
            used.add(id_)
            extra = json.dumps(call.extra) if call.extra is not None else ""
            made.append(ToolCall(id_, call.name, call.arguments or "{}", extra))
        return tuple(made)

    def extra(self) -> str:
        """What the provider wants back with the turn: JSON, empty if there is nothing."""
        kept: dict[str, Any] = {}
        if self._reasoning:
            kept["reasoning_content"] = "".join(self._reasoning)
        if self._details:
            kept["reasoning_details"] = self._details
        return json.dumps(kept) if kept else ""

    def _take(self, piece: dict[str, Any]) -> None:
        if self.too_long:
            return
        function = piece.get("function")
        function = function if isinstance(function, dict) else piece
        id_, name = _text(piece.get("id")), _text(function.get("name"))
        arguments = function.get("arguments")
        call = self._call_of(piece.get("index"), id_, name)
        call.id = call.id or id_
        if name and not call.name.endswith(name):
            call.name += name
        if piece.get("extra_content") is not None:
            call.extra = piece["extra_content"]
        self._add_arguments(call, arguments)

    def _call_of(self, index: Any, id_: str, name: str) -> _Call:
        """The call that a piece belongs to."""
        numbered = type(index) is int
        known = self._by_index.get(index) if numbered else self._unnumbered(id_, name)
        if known is not None and id_ and known.id and known.id != id_:
            known = next((call for call in self._calls if call.id == id_), None)
        if known is None:
            known = _Call()
            self._calls.append(known)
        if numbered:
            self._by_index[index] = known
        return known

    def _unnumbered(self, id_: str, name: str) -> _Call | None:
        """The call that a piece without a number goes on; None: it begins one."""
        if id_:
            return next((call for call in self._calls if call.id == id_), None)
        last = self._calls[-1] if self._calls else None
        if last is None or not name:
            return last
        return last if last.name == name and last.pieces and not last.is_whole() else None

    def _add_arguments(self, call: _Call, arguments: Any) -> None:
        if isinstance(arguments, dict):
            call.pieces = [json.dumps(arguments, ensure_ascii=False)]
        elif isinstance(arguments, str) and arguments:
            if call.pieces and arguments == call.arguments and call.is_whole():
                return  # the whole call once more
            if not (call.is_whole() and not arguments.strip()):
                call.pieces.append(arguments)
        self._length += len(call.pieces[-1]) if call.pieces else 0

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
    """The calls in a delta or message, in today's field or in the one before."""
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
