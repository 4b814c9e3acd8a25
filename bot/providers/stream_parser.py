"""Parses the chunks of a streamed chat completion: bytes in, events out, an error for a bad end. Pure.

An answer is complete only if the server says so: an answer without an end, with an unreadable part, or with an end of
another meaning is an error, and one that the server has cut is marked as cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bot.domain import Usage
from bot.domain.stream_events import (
    CallDelta,
    Done,
    ReasoningDelta,
    Sources,
    StreamEvent,
    TextDelta,
    TextRetracted,
    ToolsCalled,
)
from bot.errors import (
    ContentFiltered,
    EmptyAnswer,
    InvalidResponse,
    ProviderError,
    ProviderServerError,
    StreamInterrupted,
)
from bot.providers.chunks import (
    choices_of,
    content_of,
    index_of,
    latest_usage,
    reason_of,
    usage_in,
)
from bot.providers.errors import error_from_object, find_error
from bot.providers.finish_reasons import Ending, ending_of, native_ending_of, worst
from bot.providers.pictures import PictureCollector
from bot.providers.reasoning import ReasoningFilter
from bot.providers.reasoning_fields import REASONING_FIELDS, reasoning_of
from bot.providers.sources import SourceCollector
from bot.providers.sse import EventParser, Mark
from bot.providers.tool_calls import ToolCallCollector
from bot.text.characters import CharacterJoiner
from bot.text.untrusted_json import parsed

_JSON = (b"{", b"[")
_MAX_BUFFERED_BYTES = 30_000_000
"""Bytes of one line, or of one JSON body, that are buffered until its end: it may contain a picture."""
_MIN_REPEATED_LENGTH = 20
"""Characters: a last piece identical to everything before it, and at least this long, is a repetition of the answer."""

_IN_CHUNKS = frozenset({"choices", "usage"})
"""Keys that only a chunk of an answer has, even one without text."""


class StreamParser:
    """Parses one answer: `feed` bytes as they arrive, then `finish` once.

    The first character determines the kind of body, because content types are unreliable.
    """

    def __init__(self, secrets: Iterable[str] = (), *, begins_with_reasoning: bool = False) -> None:
        """`begins_with_reasoning`: see `ReasoningFilter`."""
        self._secrets = tuple(secrets)
        self._events = EventParser()
        self._first_byte = b""
        self._json_body = bytearray()
        self._joiner, self._reasoning_joiner = CharacterJoiner(), CharacterJoiner()
        self._filter = ReasoningFilter(begins_inside=begins_with_reasoning)
        self._sources = SourceCollector()
        self._calls = ToolCallCollector()
        self._has_call_delta = False
        self._pictures = PictureCollector()
        self.usage: Usage | None = None
        """What the call has used, as the server last reported it. It may come before an error, and still counts."""
        self._ending: Ending | None = None
        self._closed = False
        self._has_choices = False
        self._has_other_json = False
        """Some JSON has arrived."""
        self._text: list[str] = []
        """All text as it was sent, reasoning included."""
        self._has_deltas = False
        self._has_text = False
        self._has_reasoning = False
        """Some has arrived since the last events were returned."""
        self._reasoning_parts: list[str] = []
        """The reasoning that the server has revealed since then."""
        self.error: ProviderError | None = None
        """An error that the stream contained; the events before it are still returned."""

    @property
    def begun(self) -> bool:
        """Whether some of the answer's text has arrived."""
        return self._has_text

    @property
    def pictures(self) -> tuple[str, ...]:
        """The URLs of the answer's pictures so far."""
        return self._pictures.addresses()

    @property
    def size(self) -> int:
        """Bytes that it buffers, besides text."""
        return len(self._json_body) + self._events.buffered + self._pictures.size

    @property
    def closed(self) -> bool:
        """Whether the server has sent `[DONE]`."""
        return self._closed

    @property
    def finished(self) -> bool:
        """Whether the server has announced the end. Some announce it too early, and more text follows."""
        return self._closed or self._ending is not None

    @property
    def began_with_reasoning(self) -> bool:
        """Whether the answer certainly began with reasoning that no mark opened."""
        return self._filter.begins_inside

    @property
    def began_with_answer(self) -> bool:
        """Whether the answer is complete, and no mark has shown that it began with reasoning."""
        is_whole = self._ending is not Ending.CUT and self.finished
        return is_whole and self._has_text and self._filter.retractions == 0

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
        events = self._read(self._events.feed(block))
        self._check_size(self._events.buffered)
        return events

    def _check_size(self, buffered: int) -> None:
        if buffered > _MAX_BUFFERED_BYTES:
            self.error = InvalidResponse("a line without an end")

    def finish(self) -> list[StreamEvent]:
        """The last events. Raises ProviderError if the answer is not complete."""
        is_json = self._first_byte in _JSON
        events = self._read_json_body() if is_json else self._read(self._events.flush())
        if self.error is not None:
            raise self.error
        whole = (self._closed and self._ending is None) or self._ending is Ending.WHOLE
        before = self._filter.retractions
        last, rest = self._filter.feed(self._joiner.flush()), self._filter.flush(whole=whole)
        retracted = self._filter.retractions > before
        self._note_reasoning(self._reasoning_joiner.flush())
        events += self._events_of(rest if retracted else last + rest, retracted=retracted)
        self._check_end()
        return [*events, *self._more_sources(), *self._tools_called(), self._done()]

    def _more_sources(self) -> list[StreamEvent]:
        """All sources so far, if there are new ones: a stopped answer keeps those already received."""
        return [Sources(self._sources.sources())] if self._sources.has_more else []

    def _tools_called(self) -> list[StreamEvent]:
        """The tool calls; if the turn was cut, their arguments may be cut too."""
        if not self._calls or self._ending is Ending.CUT:
            return []
        return [ToolsCalled(self._calls.calls(), self._calls.extra())]

    def _check_end(self) -> None:
        """Raises ProviderError if the server does not say that the answer is complete, or cut."""
        if not (self._has_text or self.pictures or self._tools_called()):
            raise self._no_answer()
        if not self.finished:
            raise StreamInterrupted("the stream ended without an end")
        if self._ending is Ending.FILTERED:  # the text so far must not pass for the complete answer
            raise ContentFiltered()
        if self._ending is Ending.BROKEN:
            raise StreamInterrupted("the server broke the answer off")

    def _done(self) -> Done:
        return Done("length" if self._ending is Ending.CUT else "stop")

    def _read(self, values: Iterable[Any]) -> list[StreamEvent]:
        texts: list[str] = []
        retracted = False
        for value in values:
            if self._closed or self.error is not None:
                break
            if value is Mark.DONE:
                self._closed = True
            elif value is Mark.BROKEN:
                self._note_broken()
            elif isinstance(value, dict):
                self._has_other_json |= bool(value) and _IN_CHUNKS.isdisjoint(value)
                before = self._filter.retractions
                texts.append(self._chunk(value))
                if self._filter.retractions > before:
                    retracted, texts = True, texts[-1:]
        events = self._events_of("".join(texts), retracted=retracted)
        return [*events, *self._more_sources()]

    def _note_broken(self) -> None:
        """A part cannot be read: text may be missing, unless the server had said that there is no more."""
        if self._ending is Ending.WHOLE:
            return
        begun = self._has_text or bool(self._text or self.pictures)
        self.error = (
            StreamInterrupted("a part that cannot be read")
            if begun
            else InvalidResponse("lines that cannot be read")
        )

    def _read_json_body(self) -> list[StreamEvent]:
        """The events of a JSON body that was sent instead of a stream."""
        try:
            text = self._json_body.decode("utf-8", "surrogateescape")
            payload = parsed(text, strict=False)
        except ValueError:
            return self._read_json_lines()
        error = find_error(payload)
        if error is not None:
            raise error_from_object(error, secrets=self._secrets)
        chunks = payload if isinstance(payload, list) else [payload]
        if not any(isinstance(chunk, dict) and choices_of(chunk) for chunk in chunks):
            raise InvalidResponse("JSON that is no answer")
        if isinstance(payload, list):  # a stream's chunks, collected by a proxy
            return self._read_values(payload)
        self._closed = True
        return self._events_of(self._chunk(payload))

    def _read_json_lines(self) -> list[StreamEvent]:
        """The events of a body of JSON values on separate lines."""
        values = [*self._events.feed(bytes(self._json_body)), *self._events.flush()]
        if not values or values[0] is Mark.BROKEN:
            raise InvalidResponse("JSON that cannot be read")
        return self._read_values(values)

    def _read_values(self, values: Iterable[Any]) -> list[StreamEvent]:
        events = self._read(values)
        if self.error is not None:
            raise self.error
        return events

    def _no_answer(self) -> ProviderError:
        if self._ending is Ending.FILTERED:
            return ContentFiltered()
        if self._ending is Ending.BROKEN:
            return StreamInterrupted("the server broke the answer off")
        if self._events.unknown_lines:
            return InvalidResponse("lines that cannot be read")
        if self._has_other_json and not self._has_choices:
            return InvalidResponse("JSON that is no answer")
        if self._ending is Ending.CUT:
            return EmptyAnswer("the limit of tokens was reached before the first word")
        return EmptyAnswer()

    def _chunk(self, chunk: dict[str, Any]) -> str:
        """The text that a chunk adds to the answer."""
        self.usage = latest_usage(self.usage, usage_in(chunk))
        self._sources.feed(chunk)
        text = ""
        for choice in self._answer_in(chunk):
            self._sources.feed(choice)
            text += self._choice(choice)
        self._ending = worst(self._ending, _ending_in(chunk))
        error = find_error(chunk)
        if error is not None:
            self.error = error_from_object(error, secrets=self._secrets)
        return text

    def _answer_in(self, chunk: dict[str, Any]) -> list[dict[str, Any]]:
        """The part that belongs to the one requested answer."""
        choices = choices_of(chunk)
        self._has_choices = self._has_choices or bool(choices)
        return [choice for choice in choices if index_of(choice) == 0]

    def _choice(self, choice: dict[str, Any]) -> str:
        delta = choice.get("delta")
        ending = _ending_in(choice)
        for name in ("native_finish_reason", "stop_reason"):
            ending = worst(ending, native_ending_of(choice.get(name)))
        if isinstance(delta, dict):
            ending = worst(ending, _ending_in(delta))
        wrong = choice.get("error") or (delta.get("error") if isinstance(delta, dict) else None)
        if wrong:
            self.error = error_from_object(wrong, secrets=self._secrets)
        elif choice.get("finish_reason") == "error":
            self.error = ProviderServerError()
        if self._calls.feed(choice):
            self._has_call_delta = True
            if self._calls.too_long:
                self.error = InvalidResponse("calls of tools without an end")
        text = self._new_text(choice, ends=ending is not None or self._ending is not None)
        if text.strip():
            self._ending = None  # an end that was announced before was premature
        self._ending = worst(self._ending, ending)
        if not text:
            return ""
        self._text.append(text)
        return self._filter.feed(self._joiner.feed(text))

    def _new_text(self, choice: dict[str, Any], *, ends: bool) -> str:
        """What a choice adds to the text, including reasoning marks."""
        delta, message = choice.get("delta"), choice.get("message")
        text = self._content(delta) if isinstance(delta, dict) else ""
        if text:
            self._has_deltas = True
            return "" if ends and self._is_all_once_more(text) else text
        if isinstance(message, dict):
            return self._beyond_what_is_known(self._content(message), ends=ends)
        completion = choice.get("text")
        return completion if isinstance(completion, str) else ""

    def _is_all_once_more(self, text: str) -> bool:
        return (
            len(text) >= _MIN_REPEATED_LENGTH
            and len(self._text) > 1
            and text == "".join(self._text)
        )

    def _beyond_what_is_known(self, text: str, *, ends: bool) -> str:
        """What a `message` adds: some servers send the complete one at the end, some a growing one, some only
        pieces.
        """
        known = "".join(self._text) if text else ""
        if text.startswith(known) and (self._has_deltas or ends or len(text) > len(known)):
            return text[len(known) :]
        return "" if self._has_deltas else text

    def _content(self, delta: dict[str, Any]) -> str:
        text, has_reasoning = content_of(
            delta.get("content") or delta.get("text") or delta.get("refusal")
        )
        if has_reasoning or any(delta.get(key) for key in REASONING_FIELDS):
            self._has_reasoning = True
            self._note_reasoning(self._reasoning_joiner.feed(reasoning_of(delta)))
        self._pictures.feed(delta)
        return text

    def _note_reasoning(self, reasoning: str) -> None:
        if reasoning:
            self._has_reasoning = True
            self._reasoning_parts.append(reasoning)

    def _events_of(self, text: str, *, retracted: bool = False) -> list[StreamEvent]:
        reasoned = self._has_reasoning or self._filter.reasoned_now()
        self._has_reasoning = False
        reasoning = "".join(self._reasoning_parts) + self._filter.take_reasoning()
        self._reasoning_parts.clear()
        events: list[StreamEvent] = [ReasoningDelta(reasoning)] if reasoned else []
        if self._has_call_delta:
            self._has_call_delta = False
            events.append(CallDelta())
        if retracted and self._has_text:
            self._has_text = False
            events.append(TextRetracted())
        if text:
            self._has_text = self._has_text or bool(text.strip())
            events.append(TextDelta(text))
        return events


def _ending_in(holder: dict[str, Any]) -> Ending | None:
    reason = reason_of(holder)
    return None if reason is None else ending_of(reason)
