"""What the chunks of a streamed chat completion mean (pure): payloads in, events out, an error for a bad end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bot.domain import Done, ReasoningDelta, StreamEvent, TextDelta, Usage
from bot.errors import (
    ContentFiltered,
    EmptyAnswer,
    InvalidResponse,
    ProviderError,
    ProviderServerError,
    StreamInterrupted,
)
from bot.providers.errors import error_from_object, find_error
from bot.providers.sse import DataLineParser

_JSON = (b"{", b"[")
_WAITING_LIMIT = 8_000_000
"""Bytes that may wait for the end of a line, or of a JSON body."""
_HELD_LIMIT = 1_000
"""White space before the first word that is worth keeping."""
_OPEN, _CLOSE = "<think>", "</think>"


class ThinkFilter:
    """Takes `<think>…</think>` from the very start of an answer, wherever the chunks cut it.

    White space before the first word is held back, so that an answer of nothing else counts as empty.
    """

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._thought = False
        self._passing = False

    def feed(self, text: str) -> tuple[str, bool]:
        """The part of `text` that is answer, and whether some of it was thinking."""
        if self._passing:
            return text, False
        self._held += text
        thought = False
        if not self._inside and self._held.lstrip().startswith(_OPEN):
            self._inside, self._held = True, self._held.lstrip()[len(_OPEN) :]
        if self._inside:
            thought = True
            _, closed, rest = self._held.partition(_CLOSE)
            if not closed:
                self._held = self._held[-len(_CLOSE) :]
                return "", True
            self._inside, self._thought, self._held = False, True, rest
        return self._release(), thought

    def flush(self) -> str:
        """What was held and turns out to be answer, at the end."""
        rest = "" if self._inside or not self._held.strip() else self._held
        self._held = ""
        return rest

    def _release(self) -> str:
        begun = self._held.lstrip()
        if _OPEN.startswith(begun):
            self._held = self._held[-_HELD_LIMIT:]
            return ""
        text = begun if self._thought else self._held
        self._held, self._passing = "", True
        return text


class StreamParser:
    """Reads one answer: `feed` bytes as they come, then `end` once.

    What kind of body it is shows in its first character, since content types are not to be relied upon.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._lines = DataLineParser()
        self._first = b""
        self._whole = bytearray()
        self._filter = ThinkFilter()
        self._usage: Usage | None = None
        self._reason: str | None = None
        self._closed = False
        self._wrote = False
        self._broken = 0
        self.error: ProviderError | None = None
        """An error that stood in the stream; what was read before it is still returned."""

    @property
    def begun(self) -> bool:
        """Some of the answer's text has come."""
        return self._wrote

    @property
    def closed(self) -> bool:
        """The server has said `[DONE]`."""
        return self._closed

    @property
    def finished(self) -> bool:
        """Nothing but usage can follow."""
        return self._closed or self._reason is not None

    def feed(self, block: bytes) -> list[StreamEvent]:
        """What these bytes mean, tokens joined. An error among them becomes `fault`; nothing after it is read."""
        if not self._first:
            block = block.lstrip(b"\xef\xbb\xbf \t\r\n")
            self._first = block[:1]
            if self._first == b"<":
                self.error = InvalidResponse("a web page")
                return []
        if self._first in _JSON:
            self._whole += block
            self._check(len(self._whole))
            return []
        events = self._read(self._lines.feed(block))
        self._check(self._lines.buffered)
        return events

    def _check(self, waiting: int) -> None:
        if waiting > _WAITING_LIMIT:
            self.error = InvalidResponse("a line without an end")

    def finish(self) -> list[StreamEvent]:
        """The last events. Raises ProviderError when what came was no whole answer."""
        events = self._read_whole() if self._first in _JSON else self._read(self._lines.flush())
        if self.error is not None:
            raise self.error
        rest = self._filter.flush()
        if not (self._wrote or rest):
            self._raise_nothing()
        if not self.finished:
            raise StreamInterrupted("the stream ended without an end")
        if (
            self._reason == "content_filter"
        ):  # the rest was withheld: a person must not take this for the whole
            raise ContentFiltered()
        if rest:
            events.append(TextDelta(rest))
        if self._usage is not None:
            events.append(self._usage)
        return [*events, Done(self._reason or "stop")]

    def _read(self, payloads: Iterable[bytes]) -> list[StreamEvent]:
        texts: list[str] = []
        thought = False
        for payload in payloads:
            if self._closed or self.error is not None:
                break
            if payload == b"[DONE]":
                self._closed = True
                break
            chunk = self._parse(payload)
            if chunk is not None:
                text, thinking = self._chunk(chunk)
                thought = thought or thinking
                texts.append(text)
        return self._events("".join(texts), thought)

    def _read_whole(self) -> list[StreamEvent]:
        """The events of a JSON body where a stream was asked for."""
        try:
            payload = json.loads(self._whole)
        except ValueError:
            raise InvalidResponse("JSON that cannot be read") from None
        error = find_error(payload)
        if error is not None:
            raise error_from_object(error, secrets=self._secrets)
        if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list):
            raise InvalidResponse("JSON that is no answer")
        self._closed = True
        return self._events(*self._chunk(payload))

    def _raise_nothing(self) -> None:
        if self._reason == "content_filter":
            raise ContentFiltered()
        if self._broken or self._lines.unknown_lines:
            raise InvalidResponse("lines that cannot be read")
        if self._reason == "length":
            raise EmptyAnswer("the limit of tokens was reached before the first word")
        raise EmptyAnswer()

    def _parse(self, payload: bytes) -> dict[str, Any] | None:
        try:
            chunk = json.loads(payload.decode())
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self._broken += 1
            return None
        return chunk

    def _chunk(self, chunk: dict[str, Any]) -> tuple[str, bool]:
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = _usage(usage) or self._usage
        text, thought = "", False
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                text, thought = self._choice(choice)
        error = find_error(chunk)
        if error is not None:
            self.error = error_from_object(error, secrets=self._secrets)
        return text, thought

    def _choice(self, choice: dict[str, Any]) -> tuple[str, bool]:
        reason = choice.get("finish_reason")
        if reason == "error":
            error = choice.get("error")
            self.error = (
                error_from_object(error, secrets=self._secrets) if error else ProviderServerError()
            )
        elif isinstance(reason, str) and reason:
            self._reason = reason
        delta = choice.get("delta") or choice.get("message")
        if not isinstance(delta, dict):
            text = choice.get("text")
            return self._filter.feed(text) if isinstance(text, str) and text else ("", False)
        text, thought = _content(delta.get("content") or delta.get("refusal"))
        thought = thought or any(
            delta.get(key) for key in ("reasoning", "reasoning_content", "reasoning_details")
        )
        if text:
            text, filtered = self._filter.feed(text)
            thought = thought or filtered
        return text, thought

    def _events(self, text: str, thought: bool) -> list[StreamEvent]:
        events: list[StreamEvent] = [ReasoningDelta()] if thought else []
        if text:
            self._wrote = True
            events.append(TextDelta(text))
        return events


def _content(content: Any) -> tuple[str, bool]:
    """Text of a delta's content, which may be a list of parts, and whether some of it was thinking."""
    if isinstance(content, str):
        return content, False
    if not isinstance(content, list):
        return "", False
    texts: list[str] = []
    thought = False
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            thought = True
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "".join(texts), thought


def _usage(usage: dict[str, Any]) -> Usage | None:
    prompt, completion, cost = (
        usage.get(key) for key in ("prompt_tokens", "completion_tokens", "cost")
    )
    if not (isinstance(prompt, int) and isinstance(completion, int)):
        return None
    return Usage(prompt, completion, float(cost) if isinstance(cost, (int, float)) else None)
