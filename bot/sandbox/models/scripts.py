"""Scripts for models: what is sent, when, and how it fails. No I/O."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of reasoning before (or within) the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A page that the answer draws on."""

    url: str
    title: str


@dataclass(frozen=True, slots=True)
class RawBytes:
    """Bytes sent in the stream unchanged: half lines, comments, chunks of any shape."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the answer."""

    data: bytes
    mime: str = "image/png"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the request offers."""

    name: str
    arguments: Mapping[str, Any]


Piece = str | Reasoning | Citation | RawBytes | Picture | ToolCall


@dataclass(frozen=True, slots=True)
class Fault:
    """How an answer fails, after its first `after` pieces.

    `http`: the request is refused with `status`, `body` and `headers` (no piece is sent). `break`: the connection is
    cut. `hang`: nothing more comes, the connection stays. `error`: an error event with `status` as its code.
    `end`: the stream ends properly, but with neither finish_reason nor `[DONE]`. `body`: `body` instead of a stream,
    with `status` (default 200) and `headers`.
    """

    kind: Literal["http", "break", "hang", "error", "end", "body"]
    after: int = 0
    status: int = 500
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "A fault was asked for."


@dataclass(frozen=True, slots=True)
class ModelScript:
    """One answer: its pieces and their times.

    Piece n is sent `first_after + n / rate` seconds after the request (all at once without a rate), or at `times[n]`.
    The schedule is absolute: a late piece does not delay the next.
    """

    pieces: Sequence[Piece]
    rate: float | None = None
    """Pieces per second."""
    first_after: float = 0.0
    times: Sequence[float] | None = None
    finish_reason: str | None = "stop"
    done: bool = True
    """Whether `[DONE]` is sent."""
    usage: bool = True
    """Whether usage is sent when it was asked for."""
    fault: Fault | None = None
    held_until: asyncio.Event | None = None
    """Set when the answer may end: after its last piece a stream waits for it."""

    def time_of(self, number: int) -> float:
        """Seconds after the request at which the piece of this number (from 0) is due."""
        if self.times is not None:
            return self.times[min(number, len(self.times) - 1)] if self.times else 0.0
        return self.first_after + (number / self.rate if self.rate else 0.0)


def text_of(message: Message) -> str:
    """The text of a message, whether its content is text or parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(
        str(part["text"]) for part in parts if isinstance(part, dict) and part.get("type") == "text"
    )


def words(text: str) -> list[str]:
    """The text split after each word. White space is kept: joined, the pieces are the text again."""
    return re.findall(r"\s*\S+\s*?(?=\s|$)|\s+$", text)


def script_from_text(text: str, rate: float, **more: Any) -> ModelScript:
    """The script that sends `text` at `rate` words per second."""
    return replace(ModelScript(words(text), rate=rate), **more)
