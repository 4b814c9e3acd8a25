"""Every way in which a model server fails has its error: over real HTTP, with nothing replaced."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from bot.domain.stream_events import (
    Done,
    TextDelta,
)
from bot.errors import (
    ContentFiltered,
    ContextTooLong,
    EmptyAnswer,
    InvalidResponse,
    KeyRejected,
    ModelBusy,
    ModelGone,
    ModelTimeout,
    NoAccess,
    NoCredit,
    ProviderError,
    ProviderServerError,
    RequestRefused,
    StreamInterrupted,
    Unreachable,
    WrongAddress,
)
from tests.providers.harness import KEY, ProviderHarness, provider_harness, read
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

REFUSALS: list[tuple[int, Any, type[ProviderError]]] = [
    (401, {"error": {"message": "No auth"}}, KeyRejected),
    (403, {"error": {"message": "Forbidden"}}, NoAccess),
    (403, {"error": {"message": "Your input was flagged", "code": 403}}, ContentFiltered),
    (402, {"error": {"message": "Pay first"}}, NoCredit),
    (404, {"error": {"message": "No endpoints found"}}, ModelGone),
    (404, "<html>Not found</html>", WrongAddress),
    (404, {"error": {"message": "No endpoints found that support image input"}}, RequestRefused),
    (400, {"error": {"message": "foo/bar is not a valid model ID", "code": 400}}, ModelGone),
    (
        400,
        {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
        ModelGone,
    ),
    (400, {"error": {"message": "Too much", "code": "context_length_exceeded"}}, ContextTooLong),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 8 tokens",
            "code": 400,
        },
        ContextTooLong,
    ),
    (400, {"error": {"message": "temperature must be a number"}}, RequestRefused),
    (400, {"error": {"message": "Blocked", "code": "content_policy_violation"}}, ContentFiltered),
    (413, "", ContextTooLong),
    (408, "", ModelTimeout),
    (409, {"error": "conflict"}, RequestRefused),
    (418, "I am a teapot", RequestRefused),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, RequestRefused),
    (429, {"error": {"message": "Slow down"}}, ModelBusy),
    (429, {"error": {"message": "Quota", "code": "insufficient_quota"}}, NoCredit),
    (500, {"error": {"message": "Oops"}}, ProviderServerError),
    (502, "<html>Bad gateway</html>", ProviderServerError),
    (503, "", ProviderServerError),
    (529, {"error": {"message": "Overloaded"}}, ModelBusy),
    (301, "", RequestRefused),
]


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
async def test_each_status_has_its_error(
    harness: ProviderHarness, status: int, body: Any, expected: type[ProviderError]
) -> None:
    error, text = await harness.failure(responding(body, status))
    assert type(error) is expected
    assert text == ""
    assert error.detail


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 429, "message": "busy"}, ModelBusy),
        ({"code": "429", "message": "busy"}, ModelBusy),
        ({"code": "rate_limit_exceeded", "message": "busy"}, ModelBusy),
        ({"code": 401, "message": "who?"}, KeyRejected),
        ({"code": 402, "message": "pay"}, NoCredit),
        ({"code": "model_not_found", "message": "gone"}, ModelGone),
        ({"code": "context_length_exceeded", "message": "long"}, ContextTooLong),
        ({"code": 408, "message": "late"}, ModelTimeout),
        ({"code": 502, "message": "down"}, ProviderServerError),
        ({"code": None, "message": "hm", "type": "invalid_request_error"}, RequestRefused),
        ({"message": "something"}, ProviderServerError),
        ("something", ProviderServerError),
    ],
)
async def test_an_error_in_a_good_response_is_read_by_its_code(
    harness: ProviderHarness, error: Any, expected: type[ProviderError]
) -> None:
    """As a JSON body with status 200, as an event within the stream, and as a bare line there."""
    whole, _ = await harness.failure(responding({"error": error}))
    event, text = await harness.failure(
        streaming(delta("Once "), delta("upon"), data({"error": error}), DONE)
    )
    bare, _ = await harness.failure(
        streaming(delta("Once "), json.dumps({"error": error}).encode() + b"\n")
    )
    assert type(whole) is type(event) is type(bare) is expected
    assert text == "Once upon"


async def test_an_error_beside_a_finish_reason_is_an_error(harness: ProviderHarness) -> None:
    chunk = {
        "error": {"code": 502, "message": "gone"},
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
    }
    error, text = await harness.failure(streaming(delta("Once"), data(chunk)))
    assert (type(error), error.detail, text) == (ProviderServerError, "gone", "Once")
    error, text = await harness.failure(streaming(delta("Once"), delta(finish="error"), DONE))
    assert (type(error), text) == (ProviderServerError, "Once")


async def test_retry_after_is_read_as_seconds_or_date(harness: ProviderHarness) -> None:
    error, _ = await harness.failure(responding("", 429, Retry_After="7"))
    assert error.retry_after == 7.0
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    error, _ = await harness.failure(responding("", 429, Retry_After=date))
    assert error.retry_after is not None
    assert 500 < error.retry_after <= 600
    error, _ = await harness.failure(responding("", 429, Retry_After="soon"))
    assert error.retry_after is None
    error, _ = await harness.failure(responding("", 503, Retry_After="-5"))
    assert error.retry_after == 0.0


NO_ANSWER: dict[str, tuple[Behaviour, type[ProviderError]]] = {
    "nothing at all": (streaming(), EmptyAnswer),
    "only [DONE]": (streaming(DONE), EmptyAnswer),
    "only what was used": (streaming(USAGE, DONE), EmptyAnswer),
    "no word": (
        streaming(delta("", role="assistant"), delta(finish="stop"), USAGE, DONE),
        EmptyAnswer,
    ),
    "white space": (streaming(delta(" \n"), delta("\n"), delta(finish="stop"), DONE), EmptyAnswer),
    "only thoughts": (streaming(delta("<think>hm"), delta(finish="length"), DONE), EmptyAnswer),
    "filtered": (streaming(delta(finish="content_filter"), DONE), ContentFiltered),
    "a web page": (responding("<!doctype html><p>Hi", content_type="text/html"), InvalidResponse),
    "a web page in disguise": (
        responding("<!doctype html><p>Hi", content_type="text/event-stream"),
        InvalidResponse,
    ),
    "half a JSON body": (responding('{"choices": [{"mess'), InvalidResponse),
    "other JSON": (responding({"hello": "world"}), InvalidResponse),
    "a JSON list": (responding("[1, 2]"), InvalidResponse),
    "an empty JSON answer": (responding({"choices": [{"message": {"content": ""}}]}), EmptyAnswer),
    "plain words": (responding("Service starting"), InvalidResponse),
    "only a broken line": (streaming(b'data: {"choices": [{"del\n\n'), InvalidResponse),
    "no JSON": (streaming(b"data: hello\n\n", DONE), InvalidResponse),
    "not really gzip": (
        responding(b"\x1f\x8bnot really", Content_Encoding="gzip"),
        InvalidResponse,
    ),
}


@pytest.mark.parametrize(("behaviour", "expected"), NO_ANSWER.values(), ids=NO_ANSWER)
async def test_missing_answer_has_a_matching_error(
    harness: ProviderHarness, behaviour: Behaviour, expected: type[ProviderError]
) -> None:
    error, text = await harness.failure(behaviour)
    assert type(error) is expected
    assert text.strip() == ""


@pytest.mark.parametrize("last", [b"", b'data: {"choices": [{"index": 0, "del'])
async def test_stream_without_an_end_is_interrupted(harness: ProviderHarness, last: bytes) -> None:
    error, text = await harness.failure(
        streaming(delta("Once "), delta("upon"), *([last] if last else []))
    )
    assert (type(error), text) == (StreamInterrupted, "Once upon")


async def test_filtered_rest_makes_the_answer_fail(harness: ProviderHarness) -> None:
    error, text = await harness.failure(
        streaming(delta("Once "), delta("upon", "content_filter"), DONE)
    )
    assert (type(error), text) == (ContentFiltered, "Once upon")


async def test_closed_connection_interrupts_the_stream(harness: ProviderHarness) -> None:
    async def reset(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta("Once "))
        await asyncio.sleep(0.05)
        out.reset()

    async def half_a_chunk(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta("Once "))
        await out.raw(b"ffff\r\ndata: {")

    for behaviour in (reset, half_a_chunk):
        error, text = await harness.failure(behaviour)
        assert (type(error), text) == (StreamInterrupted, "Once ")


async def test_silence_is_a_timeout(harness: ProviderHarness) -> None:
    async def never(received: ReceivedRequest, out: ResponseWriter) -> None:
        await asyncio.Event().wait()

    async def only_a_head(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await asyncio.Event().wait()

    async def in_mid_answer(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        await out.chunk(delta("Once "))
        await asyncio.Event().wait()

    for behaviour, said in ((never, ""), (only_a_head, ""), (in_mid_answer, "Once ")):
        error, text = await harness.failure(behaviour, silence=0.3)
        assert (type(error), text) == (ModelTimeout, said)


async def test_server_that_cannot_be_reached_is_unreachable(harness: ProviderHarness) -> None:
    async def hangs_up(received: ReceivedRequest, out: ResponseWriter) -> None:
        out.reset()

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    async with (
        ScriptedServer(hangs_up).running() as server,
        ScriptedServer(hangs_up, greeting=b"Hello?\r\n").running() as plain,
    ):
        secure = plain.url.replace("http:", "https:")
        for url in (
            f"http://127.0.0.1:{port}",
            "http://no.such.host.invalid/v1",
            secure,
            server.url,
            "no address",
        ):
            with pytest.raises(Unreachable):
                await read(harness.provider(url, connecting=2.0))


async def test_server_that_accepts_no_connection_is_unreachable(
    harness: ProviderHarness,
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        callers = [
            socket.socket() for _ in range(3)
        ]  # more than the queue holds, so that the next connection hangs
        try:
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex(address)
            with pytest.raises(Unreachable):
                await read(harness.provider(f"http://127.0.0.1:{address[1]}", connecting=0.3))
        finally:
            for caller in callers:
                caller.close()


async def test_closed_keep_alive_connection_is_replaced() -> None:
    """The server ends its keep-alive at the very moment of the next request."""
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        body = delta("Hi") + DONE
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(
                b"\r\n\r\n"
            )  # the end of the next request's head, or of the connection
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        async with provider_harness() as harness:
            provider = harness.provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            for _ in range(2):
                assert await read(provider) == [TextDelta("Hi"), Done()]
        assert len(serving) == 2
        await asyncio.gather(*(task for task in serving if task))


async def test_provider_messages_are_redacted(harness: ProviderHarness) -> None:
    said = (
        f"Bad key {KEY}\n at https://user:pass@example.com/x?api_key=abcdef and Bearer abc.def\x00 "
        + "blah " * 200
    )
    error, _ = await harness.failure(responding({"error": {"message": said}}, 400))
    assert len(error.detail) <= 300
    assert error.detail.startswith("Bad key … at https://example.com/x?api_key=… and Bearer … blah")
    assert not any(
        secret in str(error) for secret in (KEY, "user:pass", "abcdef", "abc.def", "\n", "\x00")
    )


async def test_message_of_the_server_behind_a_router_is_kept(harness: ProviderHarness) -> None:
    body = {
        "error": {
            "message": "Provider returned error",
            "code": 429,
            "metadata": {"raw": "try gpt-5 later"},
        }
    }
    error, _ = await harness.failure(responding(body, 429))
    assert error.detail == "Provider returned error: try gpt-5 later"


async def test_server_that_speaks_no_http_is_unreachable() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(greet, "127.0.0.1", 0) as server,
        provider_harness() as harness,
    ):
        with pytest.raises(Unreachable):
            await read(harness.provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))


async def test_connection_reset_interrupts_the_stream_at_once() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        one = delta("Half")
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(one), one)
        )
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()

    async with (
        await asyncio.start_server(reset, "127.0.0.1", 0) as server,
        provider_harness() as harness,
    ):
        provider = harness.provider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(StreamInterrupted):
            await read(provider)
