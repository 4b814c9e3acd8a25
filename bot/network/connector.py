"""Connections for aiohttp, direct or through the proxy for the address.

aiohttp itself supports HTTP proxies but not SOCKS (`bot.network.tunnels`). The hooks `TCPConnector._create_connection`
and `ClientRequest.update_proxy` are not documented: `tests/network/` fails when a newer version of aiohttp no longer
has them.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from bot.network import tunnels
from bot.network.certificates import tls_context
from bot.network.proxies import NO_PROXIES, Proxy, ProxyRules


@dataclass(frozen=True)
class Network:
    """The proxies and certificates of this machine."""

    rules: ProxyRules = NO_PROXIES
    certificates: tuple[Path, ...] = field(default=())
    """Files and folders; empty: those of the system and of certifi."""

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The context for all TLS connections. Loading the certificates takes a moment, so it is created once."""
        return tls_context(self.certificates)

    def connector(self, **options: Any) -> aiohttp.TCPConnector:
        """A pool of connections for one `aiohttp.ClientSession`. `options`: those of `aiohttp.TCPConnector`."""
        return _Connector(self, **options)

    def proxy_for(self, url: URL) -> Proxy | None:
        """The proxy for this address; None: a direct connection."""
        return self.rules.proxy_for(url.scheme, url.raw_host or "", url.port or 0)


DIRECT = Network()
"""Without proxies, and with the usual certificates."""


class _Connector(aiohttp.TCPConnector):
    def __init__(self, network: Network, **options: Any) -> None:
        super().__init__(ssl=network.tls, **options)
        self._network = network

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Any:
        proxy = self._network.proxy_for(req.url)
        if proxy is not None and not _needs_tunnel(req, proxy):
            _route_via(req, proxy)
        return await super().connect(req, traces, timeout)

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        proxy = self._network.proxy_for(req.url)
        if proxy is None or not _needs_tunnel(req, proxy):
            return await super()._create_connection(req, traces, timeout)
        return await self._create_tunnel(req, proxy, timeout)

    async def _create_tunnel(
        self, req: aiohttp.ClientRequest, proxy: Proxy, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        try:
            sock = await tunnels.connect(
                proxy, req.url.raw_host or "", req.url.port or 0, timeout.sock_connect
            )
        except OSError as error:
            raise aiohttp.ClientProxyConnectionError(req.connection_key, error) from error
        tls = self._get_ssl_context(req)
        _, protocol = await self._wrap_existing_connection(
            self._factory,
            sock=sock,
            ssl=tls,
            server_hostname=(req.server_hostname or req.url.raw_host) if tls else None,
            req=req,
            timeout=timeout,
        )
        return protocol


def _needs_tunnel(req: aiohttp.ClientRequest, proxy: Proxy) -> bool:
    """Whether aiohttp cannot use the proxy. For a plain socket it would send an ordinary request instead of opening a
    tunnel.
    """
    return proxy.is_socks or (req.url.scheme == "ws" and proxy.scheme == "http")


def _route_via(req: aiohttp.ClientRequest, proxy: Proxy) -> None:
    """Selects the proxy. aiohttp gets its URL without credentials, because the URL may appear in errors and logs."""
    headers: CIMultiDict[str] = CIMultiDict()
    if proxy.username or proxy.password:
        # A plain request goes to the proxy itself; a TLS request goes through a tunnel that is opened first.
        (headers if req.is_ssl() else req.headers)["Proxy-Authorization"] = _basic(proxy)
    req.update_proxy(URL(str(proxy)), None, headers)


def _basic(proxy: Proxy) -> str:
    credentials = f"{proxy.username}:{proxy.password}".encode()
    return f"Basic {base64.b64encode(credentials).decode('ascii')}"
