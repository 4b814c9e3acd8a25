"""Parses an answer's bytes, however they are split: for tests of the parser, without a network."""

from __future__ import annotations

import json
from typing import Any

from bot.domain.stream_events import (
    Done,
    StreamEvent,
    TextDelta,
    TextRetracted,
)
from bot.errors import ProviderError
from bot.providers.stream_parser import StreamParser
from tests.providers.scripted_server import data, delta

STOP = delta(finish="stop")
Outcome = tuple[str, str | type[ProviderError]]
"""The text, and how it ended: the reason of `Done`, or the error."""


def parse(*blocks: bytes, begins_with_reasoning: bool = False) -> tuple[list[StreamEvent], Any]:
    """The events of an answer that arrives in these blocks, and its error."""
    parser = StreamParser(begins_with_reasoning=begins_with_reasoning)
    events: list[StreamEvent] = []
    try:
        for block in blocks:
            events += parser.feed(block)
            if parser.error is not None:
                raise parser.error
        events += parser.finish()
    except ProviderError as error:
        return events, error
    return events, None


def outcome(*blocks: bytes, **more: Any) -> Outcome:
    events, error = parse(*blocks, **more)
    text = ""
    for event in events:
        if isinstance(event, TextRetracted):
            text = ""
        elif isinstance(event, TextDelta):
            text += event.text
    if error is not None:
        return text, type(error)
    (end,) = (event for event in events if isinstance(event, Done))
    return text, end.reason


def outcomes_of_splits(whole: bytes, places: int | None = None) -> set[Outcome]:
    """What comes of the same bytes, whole, byte for byte, and cut in two.

    `places`: about how many are tried of all the places where it can be cut; None for every one.
    """
    single = [whole[at : at + 1] for at in range(len(whole))]
    step = 1 if places is None else 1 + len(whole) // places
    pairs = [(whole[:at], whole[at:]) for at in range(1, len(whole), step)]
    return {outcome(whole), outcome(*single), *(outcome(*pair) for pair in pairs)}


def spread(payload: Any) -> bytes:
    """One event whose JSON is spread over several lines."""
    return (
        b"".join(
            b"data: %s\n" % line.encode() for line in json.dumps(payload, indent=1).split("\n")
        )
        + b"\n"
    )


def choice(**fields: Any) -> bytes:
    return data({"choices": [{"index": 0, **fields}]})


def pieces(text: str, size: int = 3) -> bytes:
    return b"".join(delta(text[at : at + size]) for at in range(0, len(text), size))
