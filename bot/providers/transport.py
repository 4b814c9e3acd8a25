"""The HTTP client for providers: httpx over aiohttp, which reads a stream of many small pieces at half the cost.

A proxy's refusal is an `httpx.ProxyError`; an unreachable proxy is an `httpx.ConnectError`.

Pausing a read uses `AiohttpResponseStream._aiohttp_response`, which httpx-aiohttp does not document:
`tests/providers/test_transport.py` fails when a newer version no longer has it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream
from yarl import URL

from bot.network import DIRECT, Network
from bot.network.failures import explain, is_exhausted
from bot.network.public_hosts import NOT_PUBLIC, PublicResolver, resolves_to_ours, seems_public
from bot.providers.request_body import WRITE_SIZE

_MAX_CONNECTIONS = 2_000
_KEEPALIVE = 30.0
"""Seconds for which an unused connection is kept."""
PUBLIC_ONLY = {"public_only": True}
"""The extension for requests to untrusted URLs."""
_PAUSE_EXTENSION = "pause_reading"
"""The key of the response extension that pauses reading."""


class NothingLeft(httpx.ConnectError):
    """A connection failed because this machine has no files, memory or ports left for it."""


class Transport(AiohttpTransport):
    """Distinguishes three failures: a kept-alive connection that the server has closed, no server, and no HTTP."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.userinfo:  # httpx has put it into a header, and aiohttp rejects both at once
            request.url = request.url.copy_with(userinfo=b"")
        if isinstance(request.stream, httpx.ByteStream) and len(request.content) > WRITE_SIZE:
            request = _with_chunked_body(request)
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError as error:
            if isinstance(
                error.__cause__,
                (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError),
            ):
                raise httpx.RemoteProtocolError(str(error)) from error
            raise _with_cause(error) from error
        except (
            aiohttp.ClientError
        ) as error:  # not translated by the library: usually not HTTP at all
            raise httpx.ConnectError(str(error)) from error
        if isinstance(response.stream, AiohttpResponseStream):
            response.extensions[_PAUSE_EXTENSION] = partial(
                _paused, response.stream._aiohttp_response
            )
        return response


def _with_cause(error: httpx.TransportError) -> httpx.TransportError:
    """The same error with an explanation, if a proxy or a certificate is the cause."""
    cause = error.__cause__
    if is_exhausted(cause):
        return NothingLeft(str(error))
    text = explain(cause)
    if text is None:
        return error
    refused = isinstance(cause, aiohttp.ClientHttpProxyError) and cause.status < 500
    return httpx.ProxyError(text) if refused else httpx.ConnectError(text)


def reading_paused(response: httpx.Response) -> AbstractContextManager[None]:
    """While this is open, nothing is read from the response's socket.

    Data that arrives meanwhile is later read as one piece, which costs no more than a small one. Use it only for a
    moment: a server that goes away is not noticed during the pause.
    """
    pause = response.extensions.get(_PAUSE_EXTENSION)
    return nullcontext() if pause is None else pause()


@contextmanager
def _paused(response: aiohttp.ClientResponse) -> Iterator[None]:
    connection = response.connection  # None when everything has been read
    socket = None if connection is None else connection.transport
    if socket is None or socket.is_closing():
        yield
        return
    socket.pause_reading()
    try:
        yield
    finally:  # always: another request may get this connection
        if not socket.is_closing():
            socket.resume_reading()


class _ChunkedBody(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), WRITE_SIZE):
            yield self._body[start : start + WRITE_SIZE]


def _with_chunked_body(request: httpx.Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=_ChunkedBody(request.content),
        extensions=request.extensions,
    )


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests with the extension `PUBLIC_ONLY` only to public Internet hosts, all others anywhere.

    A proxy resolves names itself. So with a proxy, a host is refused if it is internal by its form, or according to
    this machine's resolver.
    """

    def __init__(self, network: Network, resolver: AbstractResolver | None = None) -> None:
        """`resolver`: for public hosts; by default the system's."""
        self._network = network
        self._anywhere = _transport(network)
        self._public = _transport(network, PublicResolver(resolver))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.ConnectError for a host that may be internal."""
        if not request.extensions.get("public_only"):
            return await self._anywhere.handle_async_request(request)
        url = URL(str(request.url))
        host, port = url.host or "", url.port or 0
        if not seems_public(host):
            raise httpx.ConnectError(NOT_PUBLIC)
        if self._network.proxy_for(url) is None:
            return await self._public.handle_async_request(request)
        if await resolves_to_ours(host, port):
            raise httpx.ConnectError(NOT_PUBLIC)
        return await self._anywhere.handle_async_request(request)

    async def aclose(self) -> None:
        await self._anywhere.aclose()
        await self._public.aclose()


def _transport(network: Network, resolver: AbstractResolver | None = None) -> Transport:
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=network.connector(
                limit=_MAX_CONNECTIONS, keepalive_timeout=_KEEPALIVE, resolver=resolver
            )
        )

    return Transport(client=session, verify=network.tls, trust_env=False)


def create_client(
    network: Network = DIRECT, resolver: AbstractResolver | None = None
) -> httpx.AsyncClient:
    """The HTTP client that all providers share. It does not read the environment.

    `resolver`: see `GuardedTransport`.
    """
    return httpx.AsyncClient(transport=GuardedTransport(network, resolver), trust_env=False)
