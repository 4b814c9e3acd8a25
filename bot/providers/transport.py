"""How HTTP reaches the providers: httpx over aiohttp, which reads a stream of many small pieces at half of the cost."""

from __future__ import annotations

from urllib.request import getproxies

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

_MOST_STREAMS = 2_000
_LIMITS = httpx.Limits(max_connections=_MOST_STREAMS, max_keepalive_connections=100, keepalive_expiry=30.0)
_DIRECT = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""Never asked for through a proxy that the environment names."""


class Transport(AiohttpTransport):
    """Tells a kept connection that was closed meanwhile from a server that cannot be reached, and from nonsense."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.TransportError as error:
            if isinstance(error.__cause__, (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError)):
                raise httpx.RemoteProtocolError(str(error)) from error
            raise
        except aiohttp.ClientError as error:  # what the library leaves as it is: no HTTP at all, above all
            raise httpx.ConnectError(str(error)) from error


def new_client() -> httpx.AsyncClient:
    """The HTTP client that all providers share. Through a proxy, which the environment may name, httpx goes itself."""
    if getproxies():
        return httpx.AsyncClient(limits=_LIMITS, mounts=dict.fromkeys(_DIRECT))
    return httpx.AsyncClient(transport=Transport(limits=_LIMITS))
