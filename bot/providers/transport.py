"""How HTTP reaches the providers: httpx over aiohttp, which reads a stream of many small pieces at half of the cost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from urllib.request import getproxies

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

_MOST_STREAMS = 2_000
_LIMITS = httpx.Limits(
    max_connections=_MOST_STREAMS, max_keepalive_connections=100, keepalive_expiry=30.0
)
_DIRECT = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""Never asked for through a proxy that the environment names."""
_PIECE = 64 * 1024
"""Bytes of a large body, one with images, that are written at once: others want the loop too."""
_HOLD = "hold"
"""The extension of a response by which its reading can be held back."""


class Transport(AiohttpTransport):
    """Tells a kept connection that was closed meanwhile from a server that cannot be reached, and from nonsense."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (
            request.url.userinfo
        ):  # httpx has made a header of it, and aiohttp takes only one of the two
            request.url = request.url.copy_with(userinfo=b"")
        if len(request.content) > _PIECE:
            request = _in_pieces(request)
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError as error:
            if isinstance(
                error.__cause__,
                (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError),
            ):
                raise httpx.RemoteProtocolError(str(error)) from error
            raise
        except (
            aiohttp.ClientError
        ) as error:  # what the library leaves as it is: no HTTP at all, above all
            raise httpx.ConnectError(str(error)) from error
        if isinstance(response.stream, AiohttpResponseStream):
            response.extensions[_HOLD] = partial(_held, response.stream._aiohttp_response)
        return response


def reading_paused(response: httpx.Response) -> AbstractContextManager[None]:
    """Meanwhile nothing of the response is taken from the socket. What comes there together is later read together,
    which costs as much as one piece; each for itself costs as much again. For a moment only: nobody notices meanwhile
    that a server has gone."""
    hold = response.extensions.get(_HOLD)
    return nullcontext() if hold is None else hold()


@contextmanager
def _held(response: aiohttp.ClientResponse) -> Iterator[None]:
    connection = response.connection  # None when all has been read already
    socket = None if connection is None else connection.transport
    if socket is None or socket.is_closing():
        yield
        return
    socket.pause_reading()
    try:
        yield
    finally:  # in any case, since somebody else may be given this connection
        if not socket.is_closing():
            socket.resume_reading()


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _PIECE):
            yield self._body[start : start + _PIECE]


def _in_pieces(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=_Pieces(request.content),
        extensions=request.extensions,
    )


def create_client() -> httpx.AsyncClient:
    """The HTTP client that all providers share. Through a proxy, which the environment may name, httpx goes itself."""
    if getproxies():
        return httpx.AsyncClient(limits=_LIMITS, mounts=dict.fromkeys(_DIRECT))
    return httpx.AsyncClient(transport=Transport(limits=_LIMITS))
