"""Distinguishes public Internet hosts from internal ones, for requests to untrusted URLs.

A name may resolve to a public address when it is checked and to an internal one when it is connected to. So the check
is part of name resolution for the connection: only addresses that pass it are connected to.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from bot.network.direct_hosts import address_of, is_loopback

NOT_PUBLIC = "not a public host"
"""What an error says about a host that is not public."""
_PRIVATE_SUFFIXES = (".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")
_TRANSLATED = ip_network("64:ff9b::/96")
"""The prefix under which a network without IPv4 represents IPv4 addresses."""


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only: a name that also has any other address is refused."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        """`resolver`: the resolver to use; by default the system's."""
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Also raises OSError for hosts that are not public."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise OSError(NOT_PUBLIC)
        return found

    async def close(self) -> None:
        await self._resolver.close()


def is_public(address: str) -> bool:
    """Whether an IP address is a public Internet address. Raises ValueError for anything else."""
    found = ip_address(address.partition("%")[0])
    inner = _inner(found) if isinstance(found, IPv6Address) else None
    return all(_is_global(each) for each in (found, inner) if each is not None)


def seems_public(host: str) -> bool:
    """Whether a host in a URL looks public, judged by its literal address or the form of its name."""
    if is_loopback(host):
        return False
    address = address_of(host)
    if address is not None:
        return is_public(str(address))
    name = host.lower().rstrip(".")
    return "." in name and not name.endswith(_PRIVATE_SUFFIXES)


async def resolves_to_ours(host: str, port: int) -> bool:
    """Whether the name has an address that is not public. False if Internet names cannot be resolved here."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return not all(is_public(str(each[4][0])) for each in found)


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    reserved = isinstance(address, IPv4Address) and address.is_reserved
    return address.is_global and not address.is_multicast and not reserved


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address embedded in this one, to which its packets may go."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
