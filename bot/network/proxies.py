"""Proxies as the environment specifies them, and which address is reached through which. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from bot.network.direct_hosts import NO_EXCEPTIONS, DirectHosts, is_loopback

_PORTS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}
"""The schemes of proxies, with the default port of each."""
_ALIASES = {"socks": "socks5h"}
"""GNOME writes `socks://`."""
_MAX_SOCKS_CREDENTIAL = 255


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. Its text form has no credentials, so that it can be logged and shown."""

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")


def parse_proxy(text: str) -> Proxy:
    """Parses a proxy's address as people write it: the scheme may be missing, the password need not be escaped.

    Raises ValueError.
    """
    written = re.match(r"([a-z0-9+.-]*)://", text, re.IGNORECASE)
    scheme, rest = (written[1].lower(), text[written.end() :]) if written else ("http", text)
    scheme = _ALIASES.get(scheme, scheme)
    credentials, _, address = rest.rpartition("@")
    parts = urlsplit(
        f"//{re.split('[/?#]', address)[0]}"
    )  # raises ValueError for a malformed port or IPv6 host
    if scheme not in _PORTS or not re.fullmatch(r"[\w.:%-]+", parts.hostname or ""):
        raise ValueError("not a proxy's address")
    port = _PORTS[scheme] if parts.port is None else parts.port
    username, _, password = (unquote(part) for part in credentials.partition(":"))
    proxy = Proxy(scheme, parts.hostname or "", port, username, password)
    if not port or not _can_send(proxy):
        raise ValueError("not a proxy's address")
    return proxy


def _can_send(proxy: Proxy) -> bool:
    """Whether the protocol, and the library that implements it, can carry the credentials."""
    if not proxy.is_socks:
        return ":" not in proxy.username
    both = (proxy.username, proxy.password)
    return all(text.isascii() and len(text) <= _MAX_SOCKS_CREDENTIAL for text in both)


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """Which proxy is used for which address."""

    http: Proxy | None = None
    https: Proxy | None = None
    direct: DirectHosts = NO_EXCEPTIONS

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy for an address (`ws` counts as `http`, `wss` as `https`); None: a direct connection."""
        proxy = self.https if scheme in ("https", "wss") else self.http
        if proxy is None or is_loopback(host) or self.direct.cover(host, port):
            return None
        return proxy


NO_PROXIES = ProxyRules()
