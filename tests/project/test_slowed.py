"""In the slowed event loop servers and threads are heard late; nothing is lost, and nothing overtakes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.deadlines import WAIT_TIMEOUT
from tests.slowed import SlowedLoop
from tests.tcp_server import tcp_server

NUMBERS = list(range(200))


async def server_tells(heard: list[int]) -> None:
    """Several lines at once, so that what was late is read together with what followed it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in NUMBERS:
            writer.write(b"%d\n" % number)
            await asyncio.sleep(0)
        writer.close()

    async with tcp_server(serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async for line in reader:
            heard.append(int(line))
        writer.close()


async def thread_tells(heard: list[int]) -> None:
    loop = asyncio.get_running_loop()

    def tell() -> None:
        for number in NUMBERS:
            loop.call_soon_threadsafe(heard.append, number)

    await asyncio.to_thread(tell)


async def thread_tells_a_busy_loop(heard: list[int]) -> None:
    """The time of what is late passes while the loop is busy and the thread tells more."""
    loop = asyncio.get_running_loop()

    def tell() -> None:
        for number in NUMBERS:
            loop.call_soon_threadsafe(heard.append, number)
            time.sleep(0.0005)

    telling = asyncio.ensure_future(asyncio.to_thread(tell))
    while not telling.done():
        time.sleep(0.004)
        await asyncio.sleep(0)


@pytest.mark.parametrize("tell", [server_tells, thread_tells, thread_tells_a_busy_loop])
def test_all_is_heard_in_order_and_some_of_it_late(
    tell: Callable[[list[int]], Awaitable[None]],
) -> None:
    async def hear() -> list[int]:
        heard = list[int]()
        telling = asyncio.ensure_future(tell(heard))
        async with asyncio.timeout(WAIT_TIMEOUT):
            while len(heard) < len(NUMBERS) or not telling.done():
                await asyncio.sleep(0.001)
        await telling
        return heard

    with asyncio.Runner(loop_factory=partial(SlowedLoop, 0.02, "any")) as runner:
        assert runner.run(hear()) == NUMBERS
        loop = runner.get_loop()
        assert isinstance(loop, SlowedLoop)
        assert loop.held_back
