"""A proxy like those in companies: plain requests, tunnels, and SOCKS 4, 4a and 5, with or without a password.

Names that end in `.test` lead to one server on this machine, whatever their port.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.tcp_server import tcp_server


class Passed(NamedTuple):
    """What went through the proxy."""

    way: str
    """`plain`, `tunnel`, `socks4` or `socks5`."""
    host: str
    port: int


class _Refused(Exception):
    pass


@dataclass
class ProxyServer:
    """Serves on 127.0.0.1; `user`, if set, must give `password`. `refuses`: the status of every answer."""

    port_by_target: dict[int, int]
    """Where the proxy connects: by the port that was asked for."""
    user: str = ""
    password: str = ""
    refuses: int = 0
    tls: ssl.SSLContext | None = None
    passed: list[Passed] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ProxyServer]:
        async with tcp_server(self._serve_one, self.tls) as self.port:
            yield self

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(_Refused):
                await self._serve(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        serve = {4: self._socks4, 5: self._socks5}.get(first[0])
        if serve is not None:
            await serve(reader, writer)
        else:
            await self._http(first, reader, writer)

    async def _http(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = first + await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.decode().split("\r\n")[0].split(" ")
        given = base64.b64encode(f"{self.user}:{self.password}".encode())
        if self.user and b"proxy-authorization: basic " + given.lower() not in head.lower():
            await _end(writer, b"HTTP/1.1 407 Proxy Authentication Required\r\n")
        if self.refuses:
            await _end(writer, b"HTTP/1.1 %d Not Here\r\n" % self.refuses)
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            upstream = await self._connect("tunnel", host, int(port))
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await _join((reader, writer), upstream)
            return
        scheme, _, rest = target.partition("://")
        assert scheme == "http", target
        authority, _, path = rest.partition("/")
        host, _, port = authority.partition(":")
        upstream = await self._connect("plain", host, int(port or 80))
        upstream[1].write(head.replace(target.encode(), f"/{path}".encode(), 1))
        await _join((reader, writer), upstream)

    async def _socks4(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, port, address = (
            await reader.readexactly(1),
            await reader.readexactly(2),
            await reader.readexactly(4),
        )
        await reader.readuntil(b"\0")
        host = str(ipaddress.IPv4Address(address))
        if host.startswith("0.0.0."):  # 4a: the name follows
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        upstream = await self._connect("socks4", host, int.from_bytes(port, "big"))
        writer.write(b"\0\x5a" + bytes(6))
        await _join((reader, writer), upstream)

    async def _socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        wanted = 2 if self.user else 0
        if wanted not in methods:
            await _end(writer, b"\5\xff", http=False)
        writer.write(bytes([5, wanted]))
        if wanted:
            await reader.readexactly(1)
            user, password = [
                await reader.readexactly((await reader.readexactly(1))[0]) for _ in range(2)
            ]
            if (user.decode(), password.decode()) != (self.user, self.password):
                await _end(writer, b"\1\1", http=False)
            writer.write(b"\1\0")
        host = await _socks5_host(reader)
        port = int.from_bytes(await reader.readexactly(2), "big")
        if self.refuses:
            await _end(writer, b"\5\2\0\1" + bytes(6), http=False)
        upstream = await self._connect("socks5", host, port)
        writer.write(b"\5\0\0\1" + bytes(6))
        await _join((reader, writer), upstream)

    async def _connect(
        self, way: str, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.passed.append(Passed(way, host, port))
        return await asyncio.open_connection("127.0.0.1", self.port_by_target[port])


async def _socks5_host(reader: asyncio.StreamReader) -> str:
    kind = (await reader.readexactly(4))[3]
    if kind == 3:
        return (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    return str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))


async def _end(writer: asyncio.StreamWriter, said: bytes, *, http: bool = True) -> None:
    writer.write(said + (b"Content-Length: 0\r\n\r\n" if http else b""))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    raise _Refused


async def _join(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    other: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    try:
        await asyncio.gather(copy(one[0], other[1]), copy(other[0], one[1]))
    finally:
        other[1].transport.abort()
