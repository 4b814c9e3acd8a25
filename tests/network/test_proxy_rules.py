"""Which proxy is used for which address, and which forms a proxy's address may have."""

from __future__ import annotations

import pytest

from bot.network.direct_hosts import is_loopback, parse_no_proxy
from bot.network.proxies import Proxy, ProxyRules, parse_proxy

WRITTEN = {
    "proxy.example:3128": Proxy("http", "proxy.example", 3128),
    "http://proxy.example": Proxy("http", "proxy.example", 80),
    "HTTP://Proxy.Example:3128/": Proxy("http", "proxy.example", 3128),
    "https://proxy.example": Proxy("https", "proxy.example", 443),
    "socks5://127.0.0.1": Proxy("socks5", "127.0.0.1", 1080),
    "socks5h://h:9050": Proxy("socks5h", "h", 9050),
    "socks://h:9050/": Proxy("socks5h", "h", 9050),
    "socks4a://h": Proxy("socks4a", "h", 1080),
    "[::1]:8080": Proxy("http", "::1", 8080),
    "http://ada:p%40ss@h:1": Proxy("http", "h", 1, "ada", "p@ss"),
    "http://ada:p@ss@h:1": Proxy("http", "h", 1, "ada", "p@ss"),
    "ada:p/s:s#?@h:1": Proxy("http", "h", 1, "ada", "p/s:s#?"),
    "http://ada@h:1": Proxy("http", "h", 1, "ada", ""),
    "http://corp%5Cada:secret@h:1": Proxy("http", "h", 1, "corp\\ada", "secret"),
}


@pytest.mark.parametrize(("text", "proxy"), WRITTEN.items(), ids=WRITTEN)
def test_a_proxys_address_is_read_as_people_write_it(text: str, proxy: Proxy) -> None:
    """And shown without what was secret in it."""
    assert parse_proxy(text) == proxy
    assert not proxy.password or proxy.password not in f"{proxy} {proxy!r}"


@pytest.mark.parametrize(
    "text",
    ["", "http://", "://h", "ftp://h:1", "h:99999", "h:0", "h:port", "two words:1", "http://[::1", "::1",
     "http://:3128", "http://a%3Ab:c@h:1", f"socks5://{'u' * 256}:x@h", "file:///etc/passwd", "h;rm:1"],
)  # fmt: skip
def test_an_invalid_proxy_address_is_refused(text: str) -> None:
    """Rejected at startup, not later by a library."""
    with pytest.raises(ValueError):
        parse_proxy(text)


DIRECT = {
    "example.com": ("example.com", "www.example.com", "EXAMPLE.COM", "example.com."),
    ".example.com": ("www.example.com", "example.com"),
    "*.example.com": ("www.example.com",),
    "Example.COM:8443": ("example.com:8443", "a.example.com:8443"),
    "http://intra.corp/": ("intra.corp",),
    "10.0.0.0/8": ("10.1.2.3", "[::ffff:10.1.2.3]"),
    "10.1.2.3": ("10.1.2.3",),
    "192.168.*": ("192.168.7.1",),
    "fd00::/8": ("[fd00::1]", "[fdab::2]"),
    "[fd00::]/8": ("[fd00::1]",),
    "2001:db8::1": ("[2001:db8::1]", "[2001:DB8:0::1]"),
    "[2001:db8::1]:8443": ("[2001:db8::1]:8443",),
    "<local>": ("printer",),
    "*": ("anything.example", "8.8.8.8", "[2001:db8::1]"),
    "bücher.example": ("xn--bcher-kva.example",),
    "a.example, b.example c.example;'d.example'": ("a.example", "b.example", "c.example", "d.example"),
}  # fmt: skip
THROUGH = {
    "example.com": ("badexample.com", "example.com.evil.test", "com"),
    "*.example.com": ("example.org",),
    "Example.COM:8443": ("example.com",),
    "10.0.0.0/8": ("11.0.0.1", "10.example.com", "[fd00::1]"),
    "10.1.2.3": ("10.1.2.30",),
    "fd00::/8": ("[2001:db8::1]",),
    "[2001:db8::1]:8443": ("[2001:db8::1]",),
    "<local>": ("printer.corp", "10.1.2.3"),
    "": ("example.com",),
    ",, ,": ("example.com",),
}
CASES = [(text, host, True) for text, hosts in DIRECT.items() for host in hosts] + [
    (text, host, False) for text, hosts in THROUGH.items() for host in hosts
]


@pytest.mark.parametrize(("text", "where", "direct"), CASES)
def test_no_proxy_names_hosts_domains_addresses_and_networks(
    text: str, where: str, direct: bool
) -> None:
    host, port = _split(where)
    assert parse_no_proxy(text).cover(host, port) is direct


@pytest.mark.parametrize("text", ["10.0.0.0/33", "fd00::/129", "host:port", "host:0", "a/b/c"])
def test_what_no_proxy_cannot_mean_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_no_proxy(text)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "models.localhost", "127.0.0.1", "127.9.9.9", "127.1", "2130706433", "0x7f.0.0.1",
     "[::1]", "::1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"],
)  # fmt: skip
def test_this_machine_is_never_reached_through_a_proxy(host: str) -> None:
    """In none of the forms in which it can be written."""
    proxy = Proxy("http", "proxy.example", 3128)
    assert is_loopback(host)
    assert ProxyRules(proxy, proxy).proxy_for("https", host, 443) is None


@pytest.mark.parametrize(
    "host", ["localhost.evil.test", "127.0.0.1.evil.test", "128.0.0.1", "[::2]"]
)
def test_what_only_looks_like_this_machine_is_not(host: str) -> None:
    proxy = Proxy("http", "proxy.example", 3128)
    assert ProxyRules(proxy, proxy).proxy_for("http", host, 80) == proxy


def test_sockets_go_where_pages_of_their_kind_go() -> None:
    """`ws` as `http`, `wss` as `https`."""
    http, https = Proxy("http", "one", 1), Proxy("socks5", "two", 2)
    rules = ProxyRules(http, https)
    assert [rules.proxy_for(scheme, "a.example", 1) for scheme in ("http", "ws")] == [http] * 2
    assert [rules.proxy_for(scheme, "a.example", 1) for scheme in ("https", "wss")] == [https] * 2


def _split(where: str) -> tuple[str, int]:
    if where.endswith("]") or ":" not in where:
        return where, 443
    host, _, port = where.rpartition(":")
    return host, int(port)
