"""Parses server-sent events as model servers actually send them: bytes in, JSON values out; no I/O.

By the standard, an event is all `data:` lines up to a blank line. Unlike a library's strict parser, this one also reads
servers that omit the blank line between events, the last newline or the space after the colon: a line that is a
complete JSON value is a separate event.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any

from bot.text.untrusted_json import parsed

_MAX_EVENT_BYTES = 256_000
"""Bytes of one event that is spread over several lines."""
_DONE_PAYLOADS = frozenset({b"[DONE]", b'"[DONE]"', b"[done]", b"DONE"})
_FIELD = re.compile(rb"\s*(?:data:\s*(?=data:))?(data|event):", re.IGNORECASE)
"""The field of a line, as some servers and proxies write it: indented, in capitals, or twice."""
_PINGS = frozenset({b"ping", b"pong", b"heartbeat", b"keepalive", b"keep-alive", b"ok"})
"""What servers send to keep a connection open."""


class Mark(Enum):
    """Events that are not JSON values."""

    DONE = auto()
    """`[DONE]`: the server has sent everything."""
    BROKEN = auto()
    """JSON that cannot be parsed: part of the answer may be lost."""


class EventParser:
    """Splits a byte stream into the values of its events, however the network has split it."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._after_cr = False
        """The last block ended with CR: a LF at the beginning of the next one belongs to the same line end."""
        self._event: list[bytes] = []
        """The lines of an event that is not complete yet."""
        self._event_bytes = 0
        self._is_error = False
        """The event calls itself an error."""
        self.buffered = 0
        """Bytes of a line whose end has not arrived."""
        self.unknown_lines = 0
        """Lines that are not part of an event stream, and events that are no JSON."""

    def feed(self, block: bytes) -> list[Any]:
        """The values of the events that `block` completes, or a `Mark`."""
        head, newline, tail = self._with_plain_newlines(block).rpartition(b"\n")
        if not newline:
            self._rest.append(tail)
            self.buffered += len(tail)
            return []
        if self._rest:
            head = b"".join(self._rest) + head
        self._rest, self.buffered = [tail], len(tail)
        return [value for line in head.split(b"\n") for value in self._line(line)]

    def flush(self) -> list[Any]:
        """The value of a last event without a newline."""
        return self.feed(b"\n\n")

    def _with_plain_newlines(self, block: bytes) -> bytes:
        if self._after_cr and block.startswith(b"\n"):
            block = block[1:]
        self._after_cr = block.endswith(b"\r") or (self._after_cr and not block)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return block

    def _line(self, line: bytes) -> list[Any]:
        if not line:
            return self._end_event()
        if (field := _FIELD.match(line)) is not None:
            return self._field(field[1].lower(), line[field.end() :].strip())
        if line.startswith((b":", b"id:", b"retry:")):
            return []
        return self._stray(line.strip())

    def _field(self, name: bytes, value: bytes) -> list[Any]:
        if name == b"data":
            return self._data(value)
        self._is_error = value == b"error"
        return self._data(b"[DONE]") if value == b"done" else []

    def _stray(self, line: bytes) -> list[Any]:
        """Handles a line without `data:`: an error as a bare line, or the rest of JSON with a line break in it."""
        if self._event or line.startswith(b"{"):
            return self._data(line)
        self.unknown_lines += 1
        return [Mark.BROKEN] if _is_part_of_json(line) else []

    def _data(self, payload: bytes) -> list[Any]:
        if payload in _DONE_PAYLOADS:
            return [*self._end_event(), Mark.DONE]
        if self._event:
            self._event.append(payload)
            self._event_bytes += len(payload)
            return self._end_event() if self._event_bytes > _MAX_EVENT_BYTES else []
        if payload.lower().strip(b"[]") in _PINGS:
            return []
        value = _parse(payload)
        if value is not Mark.BROKEN:
            return [self._named(value)]
        if payload[:1] in (b"{", b"["):
            self._event, self._event_bytes = [payload], len(payload)
            return []
        if self._is_error and payload:
            return [self._named(payload.decode(errors="replace"))]
        self.unknown_lines += bool(payload)
        return [Mark.BROKEN] if payload else []

    def _end_event(self) -> list[Any]:
        lines, self._event = self._event, []
        values = [self._named(_parse(b"\n".join(lines)))] if lines else []
        self._is_error = False
        return values

    def _named(self, value: Any) -> Any:
        """The value, as an error if the event is named as one."""
        if (
            not self._is_error
            or value is Mark.BROKEN
            or (isinstance(value, dict) and "error" in value)
        ):
            return value
        return {"error": value}


def _parse(payload: bytes) -> Any:
    """The JSON value, or `Mark.BROKEN`. Bytes that are not UTF-8 become lone surrogates, to be joined later."""
    try:
        return parsed(payload.decode("utf-8", "surrogateescape"), strict=False)
    except ValueError:
        return Mark.BROKEN


def _is_part_of_json(line: bytes) -> bool:
    return any(sign in line for sign in (b"{", b"}", b'"'))
