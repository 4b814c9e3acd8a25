"""Tunnels through proxies that aiohttp cannot open itself: through SOCKS, and for plain sockets. Uses python-socks."""

from __future__ import annotations

import socket

from bot.network.proxies import Proxy

_DEFAULT_TIMEOUT = 30.0
"""Seconds for a connection, if its request sets no limit."""


async def connect(proxy: Proxy, host: str, port: int, seconds: float | None) -> socket.socket:
    """Opens a socket to the host through the proxy. Raises OSError.

    The proxy resolves the name, since often only it can; with SOCKS 4 (not 4a) it cannot.
    """
    from python_socks import ProxyError, ProxyType  # few need it
    from python_socks.async_.asyncio import Proxy as Tunnel

    kinds = {"http": ProxyType.HTTP, "socks4": ProxyType.SOCKS4, "socks4a": ProxyType.SOCKS4}
    tunnel = Tunnel(
        kinds.get(proxy.scheme, ProxyType.SOCKS5),
        proxy.host,
        proxy.port,
        proxy.username or None,
        proxy.password or None,
        rdns=proxy.scheme != "socks4",
    )
    try:
        return await tunnel.connect(host, port, timeout=seconds or _DEFAULT_TIMEOUT)
    except ProxyError as error:
        raise OSError(f"{proxy} refuses: {error}") from error
