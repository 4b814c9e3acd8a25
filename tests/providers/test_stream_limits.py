"""Every model call ends: silence, endless text and endless time each have a limit."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bot.domain import Attachment, Image, ModelRef, Role
from bot.domain.stream_events import (
    Done,
)
from bot.errors import (
    ChatNotFound,
    InvalidResponse,
    ModelTimeout,
    OwnFault,
    ProviderError,
    StorageError,
)
from bot.providers.base import ChatMessage, ModelRequest
from bot.providers.request_body import PIECE
from bot.timing import Timing
from tests.providers.attached import attached
from tests.providers.harness import ProviderHarness, read, request, text_of
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
    streaming,
)
from tests.slow import slow_after

ALRIGHT = streaming(delta("Hi"), DONE)


def repeating(piece: bytes, first: bytes = b"", pause: float = 0.02) -> Behaviour:
    """Sends `first`, and then the same piece for ever."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        if first:
            await out.chunk(first)
        while True:
            await out.chunk(piece)
            await asyncio.sleep(pause)

    return behaviour


MEANINGLESS: dict[str, bytes] = {
    "comments": b": keep-alive\n\n",
    "empty lines": b"\n",
    "events without data": b"event: ping\n\n",
    "noise": b"data: ping\n\n",
    "no choices": data({"choices": []}),
    "empty deltas": delta(""),
    "null deltas": data({"choices": [{"index": 0, "delta": None, "finish_reason": None}]}),
    "roles": delta("", role="assistant"),
    "another choice": data({"choices": [{"index": 1, "delta": {"content": "word "}}]}),
    "an endless line": b"data: " + b"x" * 100,
}


@pytest.mark.parametrize("piece", MEANINGLESS.values(), ids=MEANINGLESS)
@pytest.mark.parametrize("first", [b"", delta("Once ")], ids=["from the start", "after a word"])
async def test_what_says_nothing_is_silence(
    harness: ProviderHarness, piece: bytes, first: bytes
) -> None:
    error, text = await harness.failure(repeating(piece, first), silence=0.4)
    assert (type(error), text) == (ModelTimeout, "Once " if first else "")


@pytest.mark.parametrize(
    "piece",
    slow_after(
        2,
        [delta(reasoning="hm"), delta("word"), delta(reasoning_content="hm"), delta("<think>hm")],
    ),
)
async def test_what_means_something_restarts_the_timeout(
    harness: ProviderHarness, piece: bytes
) -> None:
    async def slow(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for _ in range(12):
            await asyncio.sleep(0.3)
            await out.chunk(piece)
        await out.chunk(delta("</think>Hi") + DONE)
        await out.end()

    assert text_of(await harness.events(slow, silence=3.0)).endswith("Hi")


async def test_text_without_an_end_is_cut_at_its_longest(harness: ProviderHarness) -> None:
    asked = replace(request(), max_characters=1_002)
    async with ScriptedServer(repeating(delta("word "), pause=0.0)).running() as server:
        events = await read(harness.provider(server.url), asked)
        assert text_of(events) == ("word " * 201)[:1_002]
        assert events[-1] == Done("length")


async def test_text_of_just_the_longest_length_is_whole(harness: ProviderHarness) -> None:
    async with ScriptedServer(_words(10)).running() as server:
        asked = replace(request(), max_characters=50)
        assert (await read(harness.provider(server.url), asked))[-1] == Done("stop")


def _words(count: int) -> Behaviour:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for _ in range(count):
            await out.chunk(delta("word "))
        await out.chunk(delta(finish="stop") + DONE)
        await out.end()

    return behaviour


async def test_answer_that_takes_too_long_is_cut(harness: ProviderHarness) -> None:
    events = await harness.events(
        repeating(delta("word ")), timing=Timing(longest_answer=0.6), silence=60.0
    )
    assert text_of(events).startswith("word word ")
    assert events[-1] == Done("length")


async def test_reasoning_that_takes_too_long_is_a_timeout(harness: ProviderHarness) -> None:
    async with ScriptedServer(repeating(delta(reasoning="hm"))).running() as server:
        provider = harness.provider(server.url, timing=Timing(longest_answer=0.6))
        with pytest.raises(ModelTimeout):
            await read(provider)


async def test_a_requests_own_time_counts(harness: ProviderHarness) -> None:
    async with ScriptedServer(repeating(delta("word "))).running() as server:
        events = await read(harness.provider(server.url), replace(request(), max_seconds=0.4))
        assert events[-1] == Done("length")


@pytest.mark.parametrize(
    ("block", "pause", "expected"),
    [(b" ", 0.02, ModelTimeout), (b" " * 4_000_000, 0.0, InvalidResponse)],
    ids=["dripping", "flooding"],
)
async def test_list_of_models_without_an_end_is_given_up(
    harness: ProviderHarness,
    block: bytes,
    pause: float,
    expected: type[ProviderError],
) -> None:
    async def endless(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head(content_type="application/json")
        while True:
            await out.chunk(block)
            await asyncio.sleep(pause)

    timing = Timing(model_list_request_timeout=1.0 if pause else 60.0)
    async with ScriptedServer(endless).running() as server:
        with pytest.raises(expected):
            await harness.provider(server.url, timing=timing).models()


PICTURE, STORED = attached([Image("p.png", "image/png", b"x" * PIECE * 2)])
WITH_PICTURE = ModelRequest(ModelRef("any", "m"), "", [ChatMessage(Role.USER, "See", PICTURE)])


async def test_what_is_not_sent_yet_is_not_the_models_silence(harness: ProviderHarness) -> None:
    """A database that responds late delays the picture for longer than the model may be silent."""

    async def late(attachment: Attachment, start: int, count: int) -> bytes:
        await asyncio.sleep(1.5)
        return await STORED(attachment, start, count)

    async with ScriptedServer(ALRIGHT).running() as server:
        provider = harness.provider(server.url, silence=1.4)
        assert text_of(await read(provider, replace(WITH_PICTURE, read=late))) == "Hi"


@pytest.mark.parametrize("failure", [StorageError("away"), ChatNotFound()], ids=["away", "gone"])
async def test_an_unreadable_body_is_reported_and_the_server_asked_once(
    harness: ProviderHarness, failure: Exception
) -> None:
    begun: list[int] = []

    async def failing(attachment: Attachment, start: int, count: int) -> bytes:
        begun.append(start)
        if start:
            raise failure
        return await STORED(attachment, start, count)

    async with ScriptedServer(ALRIGHT).running() as server:
        with pytest.raises(type(failure)) as raised:
            await read(harness.provider(server.url), replace(WITH_PICTURE, read=failing))
        assert raised.value is failure
    assert (server.received, begun) == ([], [0, PIECE])


async def test_too_many_open_files_are_not_the_servers_fault(harness: ProviderHarness) -> None:
    async with ScriptedServer(ALRIGHT).running() as server:
        with no_more_files(), pytest.raises(OwnFault):
            await read(harness.provider(server.url))
        assert text_of(await read(harness.provider(server.url))) == "Hi"


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
