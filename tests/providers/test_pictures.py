"""Pictures in answers, in each form in which servers send them: over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bot.domain import Usage
from bot.domain.stream_events import Done, ImagesMade, StreamEvent
from bot.errors import EmptyAnswer, StreamInterrupted
from bot.providers.pictures import MAX_PICTURES, PictureCollector, picture_bytes
from tests.providers.harness import ProviderHarness, read, request, text_of
from tests.providers.scripted_server import (
    DONE,
    USAGE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    data,
    delta,
    responding,
    streaming,
)

ONE, TWO = b"\x89PNG one picture", b"\x89PNG and another one"
STOP = delta(finish="stop")


def address(picture: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(picture).decode()}"


def entry(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **more}


def message(content: Any = "", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


async def _collect(stream: AsyncIterator[StreamEvent], events: list[StreamEvent]) -> None:
    async for event in stream:
        events.append(event)


async def pictures_of(events: Sequence[StreamEvent]) -> list[bytes]:
    *_, made = (ImagesMade(()), *(event for event in events if isinstance(event, ImagesMade)))
    loaded = [await image.load() for image in made.images]
    return [data for data in loaded if data is not None]


A, B = address(ONE), address(TWO)
FORMS: dict[str, tuple[Sequence[bytes], list[bytes]]] = {
    "in images": ([delta(images=[entry(A)])], [ONE]),
    "several": ([delta(images=[entry(A), entry(B)])], [ONE, TWO]),
    "in chunks of their own": ([delta(images=[entry(A)]), delta(images=[entry(B)])], [ONE, TWO]),
    "again in the last chunk": ([delta(images=[entry(A)]), delta(images=[entry(A)])], [ONE]),
    "again in a message": (
        [delta(images=[entry(A)]), data({"choices": [{"message": message(images=[entry(A)])}]})],
        [ONE],
    ),
    "among the parts": ([delta([{"type": "text", "text": "Hi"}, entry(A)])], [ONE]),
    "as output": ([delta([{"type": "output_image", "image_url": A}])], [ONE]),
    "as bytes": ([delta([{"type": "image", "b64_json": A.partition(",")[2]}])], [ONE]),
    "as a text": ([delta(images=[A])], [ONE]),
    "cut, with numbers": (
        [
            delta(images=[entry(A[:30], index=0)]),
            delta(images=[entry(B[:40], index=1)]),
            delta(images=[entry(A[30:], index=0), entry(B[40:], index=1)]),
        ],
        [ONE, TWO],
    ),
    "cut, without": ([delta(images=[entry(A[:30])]), delta(images=[entry(A[30:])])], [ONE]),
    "growing": ([delta(images=[entry(A[:30])]), delta(images=[entry(A)])], [ONE]),
    "one number for all": (
        [delta(images=[entry(A, index=0)]), delta(images=[entry(B, index=0)])],
        [ONE, TWO],
    ),
    "broken ones left out": ([delta("Hi", images=[entry("data:image/png;base64,%"), {}, 7])], []),
}


@pytest.mark.parametrize(("chunks", "expected"), FORMS.values(), ids=FORMS)
async def test_pictures_are_found_in_every_form(
    harness: ProviderHarness, chunks: Sequence[bytes], expected: list[bytes]
) -> None:
    events = await harness.events(streaming(*chunks, STOP, USAGE, DONE))
    assert await pictures_of(events) == expected
    assert isinstance(events[-1], Done)
    assert [event.cost for event in events if isinstance(event, Usage)] == [0.002]


async def test_a_whole_message_instead_of_a_stream_may_hold_pictures(
    harness: ProviderHarness,
) -> None:
    choice = {"message": message("Here.", images=[entry(A)]), "finish_reason": "stop"}
    events = await harness.events(responding({"choices": [choice]}))
    assert (text_of(events), await pictures_of(events)) == ("Here.", [ONE])


async def test_pictures_of_an_answer_that_breaks_off_come_before_the_error(
    harness: ProviderHarness,
) -> None:
    async with ScriptedServer(streaming(delta(images=[entry(A)]))).running() as server:
        events: list[StreamEvent] = []
        with pytest.raises(StreamInterrupted):
            await _collect(harness.provider(server.url).stream(request()), events)
    assert await pictures_of(events) == [ONE]


async def test_unavailable_pictures_are_not_an_answer(harness: ProviderHarness) -> None:
    for wrong in ("data:image/png;base64,%%%", "https://127.0.0.1:9/x.png", "ftp://a/b"):
        stream = streaming(delta(images=[entry(wrong)]), STOP, DONE)
        if wrong.startswith("ftp"):
            assert isinstance((await harness.failure(stream))[0], EmptyAnswer)
        else:
            assert await pictures_of(await harness.events(stream)) == []


async def test_a_picture_is_fetched_from_the_server_itself_with_its_key_and_from_no_other_in_our_networks(
    harness: ProviderHarness,
) -> None:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.method == "GET":
            await out.answer(ONE, content_type="image/png")
        else:
            urls = [entry(f"{server.url}/files/1.png"), entry(f"{other.url}/files/2.png")]
            await streaming(delta("Hi", images=urls), STOP, DONE)(received, out)

    async with (
        ScriptedServer(behaviour).running() as server,
        ScriptedServer(responding("secret")).running() as other,
    ):
        events = await read(harness.provider(server.url))
        assert await pictures_of(events) == [ONE]
        fetched = server.received[-1]
        assert (fetched.path, fetched.headers["authorization"][:7]) == ("/files/1.png", "Bearer ")
        assert other.received == []


async def test_only_models_that_draw_are_asked_for_pictures_and_only_for_answers(
    harness: ProviderHarness,
) -> None:
    draws = {"architecture": {"output_modalities": ["text", "image"]}}
    refused: list[str] = []

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        if received.method == "GET":
            await responding({"data": [{"id": "m", **draws}, {"id": "n"}]})(received, out)
        elif refused and "modalities" in received.body:
            await responding({"error": {"message": refused[0]}}, 404)(received, out)
        else:
            await streaming(delta("Hi"), STOP, DONE)(received, out)

    async with ScriptedServer(behaviour).running() as server:
        provider = harness.provider(server.url)
        await provider.models()
        for asked in (replace(request(), pictures=True), request()):
            await read(provider, asked)
        refused.append("No endpoints found that support the requested output modalities")
        await read(provider, replace(request(), pictures=True))
        sent = [each.body.get("modalities") for each in server.received[1:]]
    assert sent == [["image", "text"], None, ["image", "text"], None]


def test_pictures_are_bounded_in_number_and_size() -> None:
    collector = PictureCollector()
    for number in range(MAX_PICTURES + 3):
        collector.feed({"images": [entry(address(b"%d" % number))]})
    assert len(collector.addresses()) == MAX_PICTURES

    collector = PictureCollector()
    piece = "A" * 3_000_000
    collector.feed({"images": [entry("data:image/png;base64," + piece)]})
    for _ in range(12):
        collector.feed({"images": [entry(piece)]})
    assert collector.size < 100
    assert [picture_bytes(each) for each in collector.addresses()] == [None]
