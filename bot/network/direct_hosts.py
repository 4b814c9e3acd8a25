"""Hosts that are reached without a proxy: this machine always, and what NO_PROXY names. Pure."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network
_LOCAL_NAMES = ("localhost", "localhost.localdomain")
_WITHOUT_DOT = "<local>"
"""How Windows writes "all hosts without a dot"."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of NO_PROXY: a network or a pattern of names, on one port or (None) on all."""

    network: _Network | None
    pattern: str
    port: int | None

    def covers(self, host: str, address: _Address | None, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        if self.pattern == _WITHOUT_DOT:
            return address is None and "." not in host
        return fnmatchcase(host, self.pattern) or fnmatchcase(host, f"*.{self.pattern}")


@dataclass(frozen=True, slots=True)
class DirectHosts:
    """What NO_PROXY names."""

    entries: tuple[_Entry, ...] = ()

    def cover(self, host: str, port: int) -> bool:
        """Whether the host is reached directly. Names are not resolved."""
        name, address = _plain(host), address_of(host)
        return any(entry.covers(name, address, port) for entry in self.entries)


NO_EXCEPTIONS = DirectHosts()


def parse_no_proxy(text: str) -> DirectHosts:
    """Names, domains, addresses and networks, each perhaps with a port, separated by commas or spaces.

    A domain covers the hosts in it, with or without a dot (or `*.`) before it. `*` covers all. Raises ValueError.
    """
    return DirectHosts(tuple(_entries(text)))


def _entries(text: str) -> Iterator[_Entry]:
    for word in re.split(r"[\s,;]+", text):
        if entry := re.sub(r"^[a-z]+://", "", word.strip("\"'").lower()):
            yield _entry(entry)


def _entry(text: str) -> _Entry:
    if (network := _network(text)) is not None:
        return _Entry(network, "", None)
    host, port = _split_port(text.rstrip("/"))
    network = _network(host)
    if network is None and "/" in host:
        raise ValueError("not a network")
    return _Entry(network, _plain(host).removeprefix("*.").lstrip("."), port)


def _split_port(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\[.*\]|[^:]*):(.*)", text)
    if found is None:
        return text, None
    if not found[2].isdecimal() or not 0 < int(found[2]) < 65536:
        raise ValueError("not a port")
    return found[1], int(found[2])


def _network(text: str) -> _Network | None:
    try:
        return ip_network(re.sub(r"^\[(.*)\](/\d+)?$", r"\1\2", text), strict=False)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine itself, by name or by address."""
    name, address = _plain(host), address_of(host)
    if address is None:
        return name in _LOCAL_NAMES or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _plain(host: str) -> str:
    """A host name in lower case, without a trailing dot; international names in their DNS form."""
    name = host.strip("[]").lower().rstrip(".")
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def address_of(host: str) -> _Address | None:
    """The IP address that the host is, in any notation; None for a name."""
    text = host.strip("[]").partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return _unusual_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _unusual_address(text: str) -> IPv4Address | None:
    """An IPv4 address in the unusual notations that connecting accepts too, such as `127.1`."""
    if not re.fullmatch(r"[0-9a-fx.]+", text.lower()) or not text[0].isdigit():
        return None
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        return None
