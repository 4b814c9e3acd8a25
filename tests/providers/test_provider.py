"""What a provider sends, and how it reads unusual but complete answers: over real HTTP, with nothing replaced."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import suppress

import pytest

from bot.domain import Usage
from bot.domain.stream_events import (
    Done,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
)
from bot.errors import ProviderError
from bot.timing import Timing
from tests.deadlines import WAIT_TIMEOUT
from tests.providers.harness import ProviderHarness, read, request, text_of
from tests.providers.scripted_server import (
    DONE,
    USAGE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
    responding,
    streaming,
)


async def test_plain_answer_is_deltas_usage_and_done(harness: ProviderHarness) -> None:
    pieces = (
        delta("", role="assistant"),
        delta("Hel"),
        delta("lo"),
        delta(finish="stop"),
        USAGE,
        DONE,
    )
    *tokens, usage, end = await harness.events(streaming(*pieces))
    assert (text_of(tokens), usage, end) == ("Hello", Usage(7, 3, 0.002), Done("stop"))


STOP = delta(finish="stop")
NULL_DELTA = data({"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]})
NULL_CONTENT = data({"choices": [{"index": 0, "delta": {"content": None}}], "usage": None})
TWO_CHOICES = data(
    {
        "choices": [
            {"index": 1, "delta": {"content": "no"}},
            {"index": 0, "delta": {"content": "Hi"}},
        ]
    }
)
PARTS = [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]

ODD_BUT_WHOLE: dict[str, tuple[list[bytes], list[StreamEvent]]] = {
    "no [DONE]": ([delta("Hi"), STOP], [TextDelta("Hi"), Done()]),
    "no finish_reason": ([delta("Hi"), DONE], [TextDelta("Hi"), Done()]),
    "cut by the limit of tokens": (
        [delta("Hi", "length"), DONE],
        [TextDelta("Hi"), Done("length")],
    ),
    "usage first": (
        [USAGE, delta("Hi"), STOP, DONE],
        [TextDelta("Hi"), Usage(7, 3, 0.002), Done()],
    ),
    "null delta": ([delta("Hi"), NULL_DELTA], [TextDelta("Hi"), Done()]),
    "null content": ([NULL_CONTENT, delta("Hi"), STOP], [TextDelta("Hi"), Done()]),
    "content in parts": ([delta(PARTS), DONE], [TextDelta("Hi"), Done()]),
    "no space after data": (
        [delta("Hi").replace(b": ", b":"), b"data:[DONE]\n\n"],
        [TextDelta("Hi"), Done()],
    ),
    "CRLF": ([(delta("Hi") + DONE).replace(b"\n", b"\r\n")], [TextDelta("Hi"), Done()]),
    "no blank lines": ([(delta("Hi") + STOP).replace(b"\n\n", b"\n")], [TextDelta("Hi"), Done()]),
    "no newline at the end": ([delta("Hi"), STOP.rstrip()], [TextDelta("Hi"), Done()]),
    "comments and fields": (
        [b": hello\n\nevent: x\nid: 1\nretry: 5\n", delta("Hi"), DONE],
        [TextDelta("Hi"), Done()],
    ),
    "text after [DONE]": ([delta("Hi"), DONE + delta(" more")], [TextDelta("Hi"), Done()]),
    "byte order mark": ([b"\xef\xbb\xbf" + delta("Hi"), DONE], [TextDelta("Hi"), Done()]),
    "only the first choice": ([TWO_CHOICES, DONE], [TextDelta("Hi"), Done()]),
    "a refusal in words": ([delta(refusal="I may not."), STOP], [TextDelta("I may not."), Done()]),
    "many in one chunk": ([delta("H") + delta("i") + STOP + DONE], [TextDelta("Hi"), Done()]),
}


@pytest.mark.parametrize(("pieces", "expected"), ODD_BUT_WHOLE.values(), ids=ODD_BUT_WHOLE)
async def test_odd_but_whole_streams_are_answers(
    harness: ProviderHarness, pieces: list[bytes], expected: list[StreamEvent]
) -> None:
    assert await harness.events(streaming(*pieces)) == expected


A_PART = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
THOUGHTS: dict[str, list[bytes]] = {
    "fields of their own": [delta(reasoning="hm"), delta(reasoning_content="hm"), delta("Hi")],
    "a tag in one piece": [delta("<think>hm</think>\n\nHi")],
    "a tag cut everywhere": [delta(c) for c in "<think>a </b> < hm</think>\n\nHi"],
    "a tag cut here and there": [delta(c) for c in ("\n<thi", "nk>hm</th", "ink>", "\n", "Hi")],
    "a part of its own": [delta([A_PART]), delta("Hi")],
}


@pytest.mark.parametrize("pieces", THOUGHTS.values(), ids=THOUGHTS)
async def test_reasoning_is_reported_but_never_text(
    harness: ProviderHarness, pieces: list[bytes]
) -> None:
    events = await harness.events(streaming(*pieces, DONE))
    assert text_of(events) == "Hi"
    assert isinstance(events[0], ReasoningDelta)
    assert events[-1] == Done()


@pytest.mark.parametrize(
    "text", ["<thin air>", "<", "a `<think>`b`</think>`", "  indented", "<thinker>no</thinker>"]
)
async def test_text_that_resembles_a_think_tag_is_kept(harness: ProviderHarness, text: str) -> None:
    events = await harness.events(streaming(*(delta(c) for c in text), DONE))
    assert text_of(events) == text
    assert not any(isinstance(event, ReasoningDelta) for event in events)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_stream_may_be_split_at_any_byte(harness: ProviderHarness, size: int) -> None:
    """Within a character, a line or a line's end, too."""
    whole = b"".join(
        [delta("Grüße 👋"), delta(" aus 東京\r\n"), delta(finish="stop"), USAGE, DONE]
    ).replace(b"\n", b"\r\n")

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for at in range(0, len(whole), size):
            await out.chunk(whole[at : at + size])
        await out.end()

    events = await harness.events(behaviour)
    assert text_of(events) == "Grüße 👋 aus 東京\r\n"
    assert events[-2:] == [Usage(7, 3, 0.002), Done()]


async def test_declared_content_type_is_ignored(harness: ProviderHarness) -> None:
    assert await harness.events(
        responding(delta("Hé") + DONE, content_type="text/plain; charset=latin-1")
    ) == [
        TextDelta("Hé"),
        Done(),
    ]


async def test_compressed_stream_is_decompressed(harness: ProviderHarness) -> None:
    packed = gzip.compress(delta("Hi") + delta(finish="stop") + DONE)
    events = await harness.events(
        responding(packed, content_type="text/event-stream", Content_Encoding="gzip")
    )
    assert events == [TextDelta("Hi"), Done()]


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_json_body_instead_of_a_stream_is_accepted(
    harness: ProviderHarness, content_type: str
) -> None:
    choice = {
        "message": {"role": "assistant", "content": "<think>hm</think>All of it."},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    events = await harness.events(
        responding({"choices": [choice], "usage": usage}, content_type=content_type)
    )
    assert events == [ReasoningDelta("hm"), TextDelta("All of it."), Usage(1, 2), Done("stop")]


async def test_flood_of_tiny_chunks_arrives_whole_and_does_not_block_other_tasks(
    harness: ProviderHarness,
) -> None:
    count, turns = 30_000, 0
    one = delta("a ")
    block = b"%x\r\n%s\r\n" % (len(one), one) * 100

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for _ in range(count // 100):
            await out.raw(block)
        await out.chunk(DONE)
        await out.end()

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    busy = asyncio.ensure_future(others())
    events = await harness.events(behaviour)
    busy.cancel()
    assert text_of(events) == "a " * count
    assert turns > 5


async def test_pieces_are_read_together_only_when_there_are_many_streams(
    harness: ProviderHarness,
) -> None:
    said = [delta(f"{number} ") for number in range(60)]

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for piece in said:
            await out.chunk(piece)
            await asyncio.sleep(0.005)
        await out.chunk(DONE)
        await out.end()

    async with ScriptedServer(behaviour).running() as server:
        provider = harness.provider(server.url)
        alone = await read(provider)
        crowd = await asyncio.gather(*(read(provider) for _ in range(12)))
    text = "".join(f"{number} " for number in range(60))
    assert {text_of(events) for events in (alone, *crowd)} == {text}
    assert max(len(events) for events in crowd) < len(alone)


async def test_answer_is_complete_after_done_whatever_the_connection_does(
    harness: ProviderHarness,
) -> None:
    """The connection may stay open, or be cut, after the last word."""

    async def stays_open(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta("Hi") + delta(finish="stop") + USAGE + DONE)
        await asyncio.Event().wait()

    async def is_cut(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta("Hi") + delta(finish="stop"))
        await asyncio.sleep(0.05)
        out.reset()

    assert await harness.events(stays_open) == [TextDelta("Hi"), Usage(7, 3, 0.002), Done()]
    assert await harness.events(is_cut) == [TextDelta("Hi"), Done()]


async def test_missing_usage_is_not_awaited_for_long(
    harness: ProviderHarness,
) -> None:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta("Hi", finish="stop"))
        while True:
            await out.chunk(b": still here\n\n")
            await asyncio.sleep(0.1)

    timing = Timing(usage_timeout=0.5)
    async with asyncio.timeout(WAIT_TIMEOUT):
        assert await harness.events(behaviour, silence=60.0, timing=timing) == [
            TextDelta("Hi"),
            Done(),
        ]


async def test_finish_reason_in_every_chunk_does_not_end_the_answer_early(
    harness: ProviderHarness,
) -> None:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for _ in range(8):
            await out.chunk(delta("Hi ", finish="stop"))
            await asyncio.sleep(0.2)
        await out.end()

    timing = Timing(usage_timeout=1.0)
    assert text_of(await harness.events(behaviour, timing=timing)) == "Hi " * 8


# --- ending early -----------------------------------------------------------------------------------------------------


async def endless(received: ReceivedRequest, out: ResponseWriter) -> None:
    await out.head()
    while True:
        await out.chunk(delta("word "))
        await asyncio.sleep(0.01)


async def test_closing_the_stream_ends_the_request(harness: ProviderHarness) -> None:
    async with ScriptedServer(endless).running() as server:
        stream = harness.provider(server.url).stream(request())
        assert await anext(stream) == TextDelta("word ")
        await stream.aclose()
        async with asyncio.timeout(WAIT_TIMEOUT):
            await server.left.wait()


@pytest.mark.parametrize("behaviour", [endless, None], ids=["between words", "before the first"])
async def test_cancelling_the_reader_ends_the_request(
    harness: ProviderHarness, behaviour: Behaviour | None
) -> None:
    async def silent(received: ReceivedRequest, out: ResponseWriter) -> None:
        await asyncio.Event().wait()

    async with ScriptedServer(behaviour or silent).running() as server:

        async def read() -> None:
            async for _ in harness.provider(server.url).stream(request()):
                pass

        reading = asyncio.ensure_future(read())
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not server.received:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        async with asyncio.timeout(WAIT_TIMEOUT):
            await server.left.wait()


@pytest.mark.parametrize("kind", ["openai", "ollama"])
@pytest.mark.parametrize("base", ["/v1?api-version=7", "/v1/?api-version=7"])
async def test_the_query_of_a_base_url_is_sent_with_every_request(
    harness: ProviderHarness, kind: str, base: str
) -> None:
    """Azure names the version of its interface that way."""
    async with ScriptedServer(streaming(delta("Hello."), DONE)).running() as server:
        url = server.url + base
        provider = harness.ollama(url) if kind == "ollama" else harness.provider(url)
        await read(provider)
        with suppress(ProviderError):
            await provider.models()

        paths = [received.path for received in server.received]
    assert "/v1/chat/completions?api-version=7" in paths
    assert len(paths) > 1
    assert all(path.endswith("?api-version=7") for path in paths)
