"""Requests to untrusted URLs reach only public Internet hosts, whatever their names resolve to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from bot.network.public_hosts import PublicResolver, is_public, seems_public
from bot.providers.picture_download import fetch_picture
from bot.providers.transport import create_client

PUBLIC = "93.184.216.34"
OURS = (
    "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fd00::1", "fe80::1%1", "::ffff:10.0.0.1",
    "64:ff9b::a00:1", "2002:a00:1::", "ff02::1",
)  # fmt: skip


@dataclass
class HostileResolver(AbstractResolver):
    """Gives the answers in turn, the last one for ever."""

    answers: list[list[str]]
    asked: int = 0
    closed: bool = field(default=False)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in found
        ]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def knocks() -> AsyncIterator[tuple[int, list[object]]]:
    """The port of a server in our network, and who connected to it."""
    seen: list[object] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


def test_internal_addresses_are_recognised() -> None:
    assert [each for each in OURS if is_public(each)] == []
    assert all(map(is_public, (PUBLIC, "2606:2800:220:1::1", "64:ff9b::5db8:d822")))


@pytest.mark.parametrize(
    ("host", "seems"),
    [
        (PUBLIC, True),
        ("pictures.example.com", True),
        ("10.example.com", True),
        ("10.0.0.1", False),
        ("127.1", False),
        ("2130706433", False),
        ("0x7f.1", False),
        ("[::1]", False),
        ("localhost", False),
        ("x.localhost", False),
        ("intranet", False),
        ("printer.local", False),
        ("vault.internal.", False),
    ],
)
def test_public_hosts_are_recognised_by_their_form(host: str, seems: bool) -> None:
    assert seems_public(host) is seems


@pytest.mark.parametrize(
    "answers", [[["127.0.0.1"]], [[PUBLIC, "127.0.0.1"]], [["::ffff:127.0.0.1"]]]
)
async def test_a_name_that_leads_into_our_network_is_not_connected_to(
    knocks: tuple[int, list[object]], answers: list[list[str]]
) -> None:
    port, seen = knocks
    resolver = HostileResolver(answers)
    async with create_client(resolver=resolver) as client:
        address = f"https://pictures.example.com:{port}/a.png"
        assert await fetch_picture(client, address, "https://models.example.com/v1", {}) is None
        for literal in ("127.0.0.1", "127.1", "2130706433", "[::ffff:7f00:1]", "localhost"):
            address = f"https://{literal}:{port}/a.png"
            assert await fetch_picture(client, address, "https://models.example.com/v1", {}) is None
    assert seen == []
    assert resolver.asked == 1


async def test_a_name_is_judged_by_the_very_answer_that_is_connected_to() -> None:
    """A second look-up, through which a name could lead elsewhere, is checked too."""
    resolver = PublicResolver(HostileResolver([[PUBLIC], ["127.0.0.1"]]))
    (found,) = await resolver.resolve("pictures.example.com", 443)
    assert found["host"] == PUBLIC
    with pytest.raises(OSError, match="not a public host"):
        await resolver.resolve("pictures.example.com", 443)
