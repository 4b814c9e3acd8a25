"""Erasing a person with five thousand chats while others are served: how long a message takes to be stored meanwhile.

    python -m tests.bench.erase [--chats 5000]

On SQLite and on PostgreSQL, with two hundred messages of others before and as many as come during the erasure. Slack's
event is acknowledged when its message is stored, so these times are those of acknowledgements.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from sqlalchemy import insert

from bot.chats.retention import Eraser
from bot.domain import ModelRef, User
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.erasure import Erasure, Selection
from storage.messages import NewMessage
from storage.tables import answers, chats, messages, participants
from tests import services

GONE = User("T1", "U0GONE")
PAIRS = 5
PAUSE = 0.02
"""Seconds between two messages of others."""


def _rows(count: int) -> tuple[list[dict[str, object]], ...]:
    now = utc_now()
    made: tuple[list[dict[str, object]], ...] = ([], [], [], [])
    for number in range(count):
        chat = f"{number:032}"
        made[0].append(
            {"id": chat, "team": "T1", "owner": GONE.id, "title": "A title", "title_by": "model", "provider": "a",
             "model": "b", "message_count": 2 * PAIRS, "created_at": now, "updated_at": now}
        )  # fmt: skip
        made[1].append({"team": "T1", "user": GONE.id, "chat_id": chat, "active_at": now})
        for place in range(1, 2 * PAIRS + 1):
            role = "user" if place % 2 else "assistant"
            message = f"{number * 100 + place:032}"
            made[2].append(
                {"id": message, "chat_id": chat, "number": place, "role": role, "text": "some words " * 20,
                 "status": "done", "author": GONE.id if place % 2 else None, "created_at": now, "updated_at": now}
            )  # fmt: skip
            if role == "assistant":
                question = f"{number * 100 + place - 1:032}"
                made[3].append(
                    {"message_id": message, "chat_id": chat, "number": place, "question_id": question, "state": "ended",
                     "attempt": 1, "complete": True, "ending": "done", "cut": False, "parts": [],
                     "stop_requested": False, "queued": False, "model": "a:b"}
                )  # fmt: skip
    return made


async def _fill(database: Database, count: int) -> None:
    await database.migrate()
    tables = (chats, participants, messages, answers)
    async with database.begin() as connection:
        for table, rows in zip(tables, _rows(count), strict=True):
            for begin in range(0, len(rows), 1_000):
                await connection.execute(insert(table), rows[begin : begin + 1_000])


async def _serve(database: Database, go_on: Callable[[int], bool]) -> list[float]:
    """Messages of others, each in a chat of its own; milliseconds until each is stored."""
    repository, model = Chats(database), ModelRef("a", "b")
    times: list[float] = []
    while go_on(len(times)):
        began = time.perf_counter()
        message = NewMessage("hello", "U0OTHER")
        await repository.start(team="T1", owner="U0OTHER", model=model, message=message)
        times.append(1_000 * (time.perf_counter() - began))
        await asyncio.sleep(PAUSE)
    return times


def _shown(times: list[float]) -> str:
    cuts = quantiles(times, n=100)
    return f"p50 {cuts[49]:6.1f} ms, p99 {cuts[98]:6.1f} ms ({len(times)} messages)"


async def measure(name: str, url: str, count: int) -> None:
    database, other = Database.open(url), Database.open(url)
    await _fill(database, count)
    alone = await _serve(database, lambda done: done < 200)
    began = time.monotonic()
    erasing = asyncio.create_task(Eraser(Erasure(other)).erase(Selection(user=GONE)))
    during = await _serve(database, lambda _: not erasing.done())
    gone = await erasing
    print(f"{name}: {gone['chats']:,} chats erased in {time.monotonic() - began:.0f} s")
    print(f"  before  {_shown(alone)}\n  during  {_shown(during)}", flush=True)
    await database.close()
    await other.close()


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        await measure("SQLite", f"sqlite:///{Path(folder) / 'bench.db'}", options.chats)
    server = services.postgresql()
    try:
        await measure("PostgreSQL", services.new_database(server.url).url, options.chats)
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
