"""A model server that sends exactly the bytes of its script, over real TCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.tcp_server import tcp_server


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    """What its JSON says; of a form the bytes."""


class ResponseWriter:
    """What a test writes to the client, byte by byte if it likes."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(
        self, status: int = 200, content_type: str = "text/event-stream", **more: str
    ) -> None:
        headers = {
            "Content-Type": content_type,
            "Transfer-Encoding": "chunked",
            "Connection": "close",
        }
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        lines = [
            f"HTTP/1.1 {status} Whatever",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def reset(self) -> None:
        """Cut the connection without a good-bye."""
        self._writer.transport.abort()

    async def answer(
        self, data: bytes, status: int = 200, content_type: str = "text/event-stream", **more: str
    ) -> None:
        """A whole response at once."""
        await self.head(status, content_type, **more)
        if data:
            await self.chunk(data)
        await self.end()


Behaviour = Callable[[ReceivedRequest, ResponseWriter], Awaitable[None]]


@dataclass
class ScriptedServer:
    """Answers every request as `behaviour` says, one per connection."""

    behaviour: Behaviour
    greeting: bytes = b""
    """Said before anything was asked."""
    received: list[ReceivedRequest] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Some client closed its connection before the end of its response."""
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedServer]:
        async with tcp_server(self._serve_one) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer)
        writer.close()
        await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        received = ReceivedRequest(method, path, headers, _parsed(headers, body))
        self.received.append(received)
        handling = asyncio.ensure_future(self.behaviour(received, ResponseWriter(writer)))
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((handling, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not handling.done():
                self.left.set()
        finally:
            for task in (handling, leaving):
                task.cancel()
            await asyncio.gather(handling, leaving, return_exceptions=True)
        if handling.done() and not handling.cancelled():
            handling.result()


def _parsed(headers: Mapping[str, str], body: bytes) -> Any:
    if headers.get("content-type", "").startswith("multipart/"):
        return body
    return json.loads(body) if body else None


def data(payload: Mapping[str, Any] | str) -> bytes:
    """One event of a stream; half a character is escaped, as JSON does."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}\n\n".encode("utf-8", "backslashreplace")


def delta(content: Any = None, finish: str | None = None, **more: Any) -> bytes:
    """One chunk of an answer."""
    fields = more if content is None else {"content": content, **more}
    return data(
        {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": fields, "finish_reason": finish}],
        }
    )


USAGE = data({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.002}})
DONE = data("[DONE]")


def streaming(*pieces: bytes) -> Behaviour:
    """A stream: each piece in an HTTP chunk of its own, then a proper end."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for piece in pieces:
            await out.chunk(piece)
        await out.end()

    return behaviour


def responding(
    body: Any, status: int = 200, content_type: str = "application/json", **headers: str
) -> Behaviour:
    """One body: bytes and text as they are, anything else as JSON."""
    text = body if isinstance(body, (bytes, str)) else json.dumps(body)
    raw = text.encode() if isinstance(text, str) else text

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.answer(raw, status, content_type, **headers)

    return behaviour
