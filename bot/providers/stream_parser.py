"""Parses the chunks of a streamed chat completion: bytes in, events out, an error for a bad end. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum, auto
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
_MAX_BUFFERED_BYTES = 8_000_000
"""Bytes of one line, or of one JSON body, that are kept until its end."""
_MAX_LEADING_SPACE = 1_000
"""Characters of white space before the first word that are kept."""
_OPEN_TAG = "<think>"
_CLOSE_TAG = "</think>"


class _Phase(Enum):
    """Where in an answer a `ThinkFilter` is.

    START ──▶ REASONING ◀──▶ AFTER_REASONING ──▶ TEXT, and START ──▶ TEXT where there is no reasoning
    """

    START = auto()
    """At most white space, or the beginning of a tag, has arrived."""
    REASONING = auto()
    """The opening tag has arrived."""
    AFTER_REASONING = auto()
    """The closing tag has arrived, and no text after it."""
    TEXT = auto()
    """All further text belongs to the answer."""


class ThinkFilter:
    """Removes `<think>…</think>` from the very start of an answer, wherever the chunks split it.

    White space before the first word is held back, so that an answer of nothing else counts as empty.
    """

    def __init__(self) -> None:
        self._phase = _Phase.START
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """The part of `text` that belongs to the answer, and whether some of it was reasoning."""
        if self._phase is _Phase.TEXT:
            return text, False
        self._held += text
        if self._phase is not _Phase.REASONING and self._held.lstrip().startswith(_OPEN_TAG):
            self._phase = _Phase.REASONING
            self._held = self._held.lstrip()[len(_OPEN_TAG) :]
        if self._phase is not _Phase.REASONING:
            return self._release(), False
        _, closing_tag, rest = self._held.partition(_CLOSE_TAG)
        if not closing_tag:
            self._held = self._held[-len(_CLOSE_TAG) :]
            return "", True
        self._phase = _Phase.AFTER_REASONING
        self._held = rest
        return self._release(), True

    def flush(self) -> str:
        """The text that was held back and turns out to belong to the answer, at the end."""
        rest = "" if self._phase is _Phase.REASONING or not self._held.strip() else self._held
        self._held = ""
        return rest

    def _release(self) -> str:
        """The text that is held back, as soon as it cannot be the beginning of an opening tag."""
        begun = self._held.lstrip()
        if _OPEN_TAG.startswith(begun):
            self._held = self._held[-_MAX_LEADING_SPACE:]
            return ""
        text = begun if self._phase is _Phase.AFTER_REASONING else self._held
        self._phase = _Phase.TEXT
        self._held = ""
        return text


class StreamParser:
    """Parses one answer: `feed` bytes as they arrive, then `finish` once.

    The first character decides what kind of body it is, because content types cannot be relied upon.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._lines = DataLineParser()
        self._first_byte = b""
        self._json_body = bytearray()
        self._filter = ThinkFilter()
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self._closed = False
        self._has_text = False
        self._unparsable_lines = 0
        self.error: ProviderError | None = None
        """An error that the stream contained; the events before it are still returned."""

    @property
    def begun(self) -> bool:
        """Some of the answer's text has arrived."""
        return self._has_text

    @property
    def closed(self) -> bool:
        """The server has sent `[DONE]`."""
        return self._closed

    @property
    def finished(self) -> bool:
        """The text is complete: only usage can follow."""
        return self._closed or self._finish_reason is not None

    def feed(self, block: bytes) -> list[StreamEvent]:
        """The events in these bytes, text in one piece. Reads nothing after an error, which is put into `error`."""
        if not self._first_byte:
            block = block.lstrip(b"\xef\xbb\xbf \t\r\n")
            self._first_byte = block[:1]
            if self._first_byte == b"<":
                self.error = InvalidResponse("a web page")
                return []
        if self._first_byte in _JSON:
            self._json_body += block
            self._check_size(len(self._json_body))
            return []
        events = self._read(self._lines.feed(block))
        self._check_size(self._lines.buffered)
        return events

    def _check_size(self, buffered: int) -> None:
        if buffered > _MAX_BUFFERED_BYTES:
            self.error = InvalidResponse("a line without an end")

    def finish(self) -> list[StreamEvent]:
        """The last events. Raises ProviderError when the answer is not whole."""
        events = (
            self._read_json_body() if self._first_byte in _JSON else self._read(self._lines.flush())
        )
        if self.error is not None:
            raise self.error
        rest = self._filter.flush()
        if not (self._has_text or rest):
            self._raise_no_answer()
        if not self.finished:
            raise StreamInterrupted("the stream ended without an end")
        if (
            self._finish_reason == "content_filter"
        ):  # the text so far must not be taken for the whole
            raise ContentFiltered()
        if rest:
            events.append(TextDelta(rest))
        if self._usage is not None:
            events.append(self._usage)
        return [*events, Done(self._finish_reason or "stop")]

    def _read(self, payloads: Iterable[bytes]) -> list[StreamEvent]:
        texts: list[str] = []
        has_reasoning = False
        for payload in payloads:
            if self._closed or self.error is not None:
                break
            if payload == b"[DONE]":
                self._closed = True
                break
            chunk = self._parse(payload)
            if chunk is not None:
                text, reasoning = self._chunk(chunk)
                has_reasoning = has_reasoning or reasoning
                texts.append(text)
        return self._events("".join(texts), has_reasoning)

    def _read_json_body(self) -> list[StreamEvent]:
        """The events of a JSON body that was sent instead of a stream."""
        try:
            payload = json.loads(self._json_body)
        except ValueError:
            raise InvalidResponse("JSON that cannot be read") from None
        error = find_error(payload)
        if error is not None:
            raise error_from_object(error, secrets=self._secrets)
        if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list):
            raise InvalidResponse("JSON that is no answer")
        self._closed = True
        return self._events(*self._chunk(payload))

    def _raise_no_answer(self) -> None:
        if self._finish_reason == "content_filter":
            raise ContentFiltered()
        if self._unparsable_lines or self._lines.unknown_lines:
            raise InvalidResponse("lines that cannot be read")
        if self._finish_reason == "length":
            raise EmptyAnswer("the limit of tokens was reached before the first word")
        raise EmptyAnswer()

    def _parse(self, payload: bytes) -> dict[str, Any] | None:
        try:
            chunk = json.loads(payload.decode())
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            self._unparsable_lines += 1
            return None
        return chunk

    def _chunk(self, chunk: dict[str, Any]) -> tuple[str, bool]:
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = _usage(usage) or self._usage
        text = ""
        has_reasoning = False
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                text, has_reasoning = self._choice(choice)
        error = find_error(chunk)
        if error is not None:
            self.error = error_from_object(error, secrets=self._secrets)
        return text, has_reasoning

    def _choice(self, choice: dict[str, Any]) -> tuple[str, bool]:
        reason = choice.get("finish_reason")
        if reason == "error":
            error = choice.get("error")
            self.error = (
                error_from_object(error, secrets=self._secrets) if error else ProviderServerError()
            )
        elif isinstance(reason, str) and reason:
            self._finish_reason = reason
        delta = choice.get("delta") or choice.get("message")
        if not isinstance(delta, dict):
            text = choice.get("text")
            return self._filter.feed(text) if isinstance(text, str) and text else ("", False)
        text, has_reasoning = _content(delta.get("content") or delta.get("refusal"))
        has_reasoning = has_reasoning or any(
            delta.get(key) for key in ("reasoning", "reasoning_content", "reasoning_details")
        )
        if text:
            text, filtered = self._filter.feed(text)
            has_reasoning = has_reasoning or filtered
        return text, has_reasoning

    def _events(self, text: str, has_reasoning: bool) -> list[StreamEvent]:
        events: list[StreamEvent] = [ReasoningDelta()] if has_reasoning else []
        if text:
            self._has_text = True
            events.append(TextDelta(text))
        return events


def _content(content: Any) -> tuple[str, bool]:
    """The text of a delta's content, which may be a list of parts, and whether some of it was reasoning."""
    if isinstance(content, str):
        return content, False
    if not isinstance(content, list):
        return "", False
    texts: list[str] = []
    has_reasoning = False
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            has_reasoning = True
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "".join(texts), has_reasoning


def _usage(usage: dict[str, Any]) -> Usage | None:
    prompt, completion, cost = (
        usage.get(key) for key in ("prompt_tokens", "completion_tokens", "cost")
    )
    if not (isinstance(prompt, int) and isinstance(completion, int)):
        return None
    return Usage(prompt, completion, float(cost) if isinstance(cost, (int, float)) else None)
