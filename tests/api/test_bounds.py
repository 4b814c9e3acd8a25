"""No request makes the process large: pictures, bodies, sockets and reads are limited, and others are served
meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bot.api.bodies import SMALL_BODY_BYTES
from bot.api.json_bodies import MAX_PARTS
from bot.api.sockets import MAX_SOCKETS_OF_ONE
from bot.runtime.asgi_server import MAX_UNREAD_MESSAGES
from tests.api.conftest import Api, address
from tests.api.test_compat import EYE
from tests.api.test_sockets import socket_of
from tests.handlers.world import World

GROWTH = 450_000_000
"""Bytes by which the process may grow: one large decoded picture, and everything else that may be held."""
EDGE = 7_000


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@asynccontextmanager
async def watched() -> AsyncIterator[list[int]]:
    """The largest growth while the block runs, as the only element once it has ended."""
    before, largest = resident(), [0]

    async def watch() -> None:
        while True:
            largest[0] = max(largest[0], resident() - before)
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    try:
        yield largest
    finally:
        watching.cancel()


def large_picture() -> str:
    """A small file that unpacks to 200 MB, in base64."""
    file = io.BytesIO()
    Image.new("RGB", (EDGE, EDGE), "red").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.slow
async def test_large_pictures_are_decoded_one_at_a_time(world: World, api: Api) -> None:
    picture = large_picture()
    chats = [await api.conversation(model=EYE) for _ in range(4)]
    async with watched() as growth:
        said = [
            api.http.post(
                f"/chat/conversations/{chat}/messages",
                json={"content": "look", "images": [picture, picture]},
            )
            for chat in chats
        ]
        working = asyncio.gather(*said)
        served = set[int]()
        while not working.done():
            served.add((await api.http.get("/chat/models")).status_code)
            await asyncio.sleep(0.05)
        answers = await working
    # On a busy machine these are more than a person's requests a minute, and that is an answer too.
    assert {200} <= served <= {200, 429}
    assert {answer.status_code for answer in answers} == {201}
    assert growth[0] < GROWTH


async def test_a_body_of_very_many_parts_is_refused(world: World, api: Api) -> None:
    parts = b'{"content": "x", "images": [%s{}]}' % (b"{}," * (MAX_PARTS // 2))
    chat = await api.conversation(model=EYE)
    async with watched() as growth:
        for path in (f"/chat/conversations/{chat}/messages", "/new-chat", "/list-messages"):
            refused = await api.http.post(
                path, content=parts, headers={"Content-Type": "application/json"}
            )
            assert refused.status_code == 413, path
    assert growth[0] < 100_000_000


async def test_only_routes_that_take_files_take_large_bodies(world: World, api: Api) -> None:
    chat = await api.conversation()
    padding = b" " * SMALL_BODY_BYTES
    small = ("/chat/conversations", "/list-chats", "/check-chat", "/api/v1/conversations")
    large = (f"/chat/conversations/{chat}/messages", "/new-chat", "/chat-message", "/api/v1/chat")
    for path in (*small, *large):
        answer = await api.http.post(
            path, content=b"{}" + padding, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == (413 if path in small else 422), path


async def test_many_large_bodies_at_once_take_turns(world: World, api: Api, bobs: Api) -> None:
    body = json.dumps({"content": "x", "images": ["A" * 30_000_000]}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        """The client runs in this process too, so it must not keep a copy of each waiting body."""
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    async def send() -> int:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        return (await api.http.post("/new-chat", content=pieces(), headers=headers)).status_code

    async with watched() as growth:
        working = asyncio.gather(*(send() for _ in range(6)))
        while not working.done():
            assert (await bobs.http.get("/chat/models")).status_code == 200
            await asyncio.sleep(0.05)
        codes = set(await working)
    assert codes <= {422, 503}
    assert growth[0] < 300_000_000


async def test_bodies_of_unauthorized_clients_are_not_kept(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1_000_000

    async with (
        watched() as growth,
        httpx.AsyncClient(base_url=address(world), trust_env=False, timeout=None) as http,
    ):
        paths = ("/new-chat", "/chat/conversations", "/api/v1/chat", "/slack/events", "/nowhere")
        answers = await asyncio.gather(
            *(http.post(path, content=endless()) for path in paths * 4), return_exceptions=True
        )
    codes = {answer.status_code for answer in answers if isinstance(answer, httpx.Response)}
    assert codes <= {401, 404}
    assert growth[0] < 100_000_000


async def test_one_person_has_only_so_many_sockets(world: World, api: Api, bobs: Api) -> None:
    where = address(world)
    async with AsyncExitStack() as stack:
        for _ in range(MAX_SOCKETS_OF_ONE):
            await stack.enter_async_context(socket_of(where, api.token))
        with pytest.raises(InvalidStatus, match="429"):
            await stack.enter_async_context(socket_of(where, api.token))
        await stack.enter_async_context(socket_of(where, bobs.token))
    async with socket_of(where, api.token):
        pass


async def test_a_socket_that_floods_is_cut(world: World, api: Api) -> None:
    where = address(world)
    async with socket_of(where, api.token) as reader:
        transport = reader.socket.transport
        frame = b"\x81\x82\x00\x00\x00\x00{}"  # a masked text message, as a client sends it
        transport.write(frame * (MAX_UNREAD_MESSAGES * 20))
        with pytest.raises(ConnectionClosed):
            await reader.until(lambda _: False)
    assert (await api.http.get("/chat/models")).status_code == 200


async def test_reading_a_long_conversation_by_the_dozen_is_bounded(world: World, api: Api) -> None:
    chat = await api.conversation()
    for number in range(5):
        world.say(f"answer {number}")
        await api.say(chat, "é" * 200_000)
    async with watched() as growth:
        paths = [f"/chat/conversations/{chat}"] * 20
        answers = await asyncio.gather(*(api.http.get(path) for path in paths))
        listed = await api.http.post("/list-messages", json={"chat": chat})
    assert {answer.status_code for answer in answers} == {200}
    assert len(listed.json()["messages"]) == 10
    assert growth[0] < GROWTH
