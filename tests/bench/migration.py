"""An upgrade of 200,000 messages while people write: how long it takes, and how long their messages do.

    python -m tests.bench.migration [--chats 2500]

From version 0007, before which there was no search index, on PostgreSQL. Slack's event is acknowledged when its message
is stored, so these times are those of acknowledgements.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles

from tests import services
from tests.storage.old_database import OldDatabase, Served, people_writing

MESSAGES = 80
"""Of each chat."""


async def _measure(
    name: str, work: Awaitable[None], write: Callable[[int], Awaitable[None]]
) -> None:
    began = time.monotonic()
    async with people_writing(write) as served:
        await work
    print(f"{name:34} {time.monotonic() - began:6.1f} s   {_shown(served)}", flush=True)


def _shown(served: Served) -> str:
    times = [1_000 * each for each in served.seconds]
    cuts = quantiles(times, n=100)
    return (
        f"p50 {cuts[49]:6.1f} ms, p99 {cuts[98]:6.1f} ms, slowest {max(times):6.1f} ms "
        f"({len(times)} messages)"
    )


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=2_500)
    options = parser.parse_args()
    server = services.postgresql()
    try:
        url = services.new_database(server.url).url
        old = await OldDatabase.create(url, options.chats, MESSAGES)
        print(f"{options.chats * MESSAGES:,} messages")
        await _measure("nothing", asyncio.sleep(5), old.write_as_before)
        await _measure("the tables change", old.database.migrate(), old.write_as_before)
        await _measure("the index is filled in batches", old.fill(), old.write)
        await old.database.close()
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
