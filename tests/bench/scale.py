"""Lists, search and a continued chat beside each other: among a thousand chats, and among very many.

    python -m tests.bench.scale [--chats 1000000] [--rounds 60] [--explain] [--keep]

Two PostgreSQL databases, ten messages to a chat. In the small one a person owns all thousand chats. In the big one
there are two people: one owns a thousand chats as well, so that nothing differs but what others have; the other owns
five thousand, more than the small one holds. The same operations run for all three in turn, so that whatever else the
machine does strikes all alike.

`--keep`: with `TEST_POSTGRES_URL`, databases of these sizes stay there and are used again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import event

from bot.domain import AnswerResult, Status, Thread, User
from storage.answers import Answers
from storage.chat_requests import ChatRequests
from storage.chats import Chats
from storage.engine.database import Database
from storage.messages import NewMessage
from tests import services
from tests.bench import bulk_data
from tests.bench.bulk_data import PER_CHAT, TEAM, Heavy, chat_id, heavy, place_of

SMALL, OWN = 1_000, 5_000
FLAT = 1.3
WARM = 8
"""Turns that are not counted: they prepare statements and fill caches."""
SERVER = (
    "shared_buffers=1GB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=8GB",
    "autovacuum=off",
)


@dataclass
class View:
    """A database as one of its people sees it, and what was measured there."""

    name: str
    url: str
    database: Database
    who: Heavy
    times: dict[str, list[float]] = field(default_factory=dict)

    @property
    def chats(self) -> Chats:
        return Chats(self.database)

    @property
    def replies(self) -> Answers:
        return Answers(self.database)

    @property
    def person(self) -> User:
        return User(TEAM, self.who.name)

    def median(self, operation: str) -> float:
        """Milliseconds."""
        return 1000 * statistics.median(self.times[operation])


Operation = Callable[[View, int], Awaitable[object]]


async def first_page(view: View, round_number: int) -> None:
    page = await view.chats.list_for(view.person, limit=10)
    assert (len(page.chats), page.total) == (10, min(1_000, view.who.count))


async def tenth_page(view: View, round_number: int) -> None:
    cursor = None
    for _ in range(10):
        cursor = (await view.chats.list_for(view.person, limit=10, cursor=cursor)).next_cursor


def search(words: str, *, found: bool) -> Operation:
    async def operation(view: View, round_number: int) -> None:
        page = await view.chats.list_for(view.person, limit=10, words=words)
        assert bool(page.chats) is found, (words, page.total)

    return operation


async def open_chat(view: View, round_number: int) -> None:
    chat = await view.chats.get_visible_to(
        view.person, chat_id(view.who.number(3 * round_number + 1))
    )
    assert len(await view.chats.messages(chat.id)) >= PER_CHAT


async def go_on(view: View, round_number: int) -> None:
    """The next message in an existing chat, the claim of its answer, what the model is sent, and the answer's end."""
    channel, thread = place_of(view.who.number(3 * round_number + 2))
    chat = await view.chats.find_by_thread(Thread(TEAM, channel, thread))
    assert chat is not None
    await view.chats.add_message(
        chat.id,
        NewMessage(f"once more {round_number}", view.who.name, source=f"{round_number}"),
        limit=10_000,
    )
    answer = await view.replies.claim(chat.id, "bench", 8.0)
    assert answer is not None
    assert len(await view.chats.history(chat.id, answer.number)) >= PER_CHAT + 1
    await view.replies.save_result(
        answer.id, "bench", AnswerResult(Status.DONE, "Again.", seconds=1.0)
    )
    assert await view.replies.finish(answer.id, "bench")


async def no_chat(view: View, round_number: int) -> None:
    """A message in a thread without a chat: most of Slack's events are like this."""
    thread = Thread(TEAM, f"C{round_number % 300}", f"{round_number}.9")
    assert await view.chats.find_by_thread(thread) is None
    assert await ChatRequests(view.database).find_open(thread, view.who.name) is None


OPERATIONS: dict[str, Operation] = {
    "first page of /chats or Home": first_page,
    "ten pages": tenth_page,
    "search: a rare word": search(bulk_data.RARE, found=True),
    "search: a word of a few titles": search(bulk_data.TITLED, found=True),
    "search: a word in every chat": search(bulk_data.COMMON, found=True),
    "search: a word in one of three chats": search(bulk_data.MANY, found=True),
    "search: a word in one of ten chats": search(bulk_data.SOME, found=True),
    "search: a common and a rare word": search(f"{bulk_data.COMMON} {bulk_data.RARE}", found=True),
    "search: a word that is nowhere": search(bulk_data.NOWHERE, found=False),
    "search: a word of others alone": search(bulk_data.ELSEWHERE, found=False),
    "search: two letters": search(bulk_data.SHORT, found=True),
    "search: two letters, nowhere": search(bulk_data.SHORT_NOWHERE, found=False),
    "search: a Chinese word": search(bulk_data.CHINESE, found=True),
    "search: a Chinese word, nowhere": search(bulk_data.CHINESE_NOWHERE, found=False),
    "a chat is opened": open_chat,
    "a chat is continued": go_on,
    "a message in no chat": no_chat,
}


@asynccontextmanager
async def views(server: str, chats: int, keep: bool) -> AsyncIterator[list[View]]:
    """The three, of which the last two share a database."""
    small = [heavy("U0SAME", SMALL, SMALL, 0)]
    big = [heavy("U0SAME", SMALL, chats, 0), heavy("U0MANY", OWN, chats, 1)]
    opened = []
    for size, people in ((SMALL, small), (chats, big)):
        url = await _database(server, size, people, keep)
        for one in people:
            name = f"{one.count:,} of {size:,}"
            opened.append(View(name, url, Database.open(url), one))
    yield opened
    for view in opened:
        await view.database.close()


async def _database(server: str, chats: int, people: list[Heavy], keep: bool) -> str:
    name = f"bench_{chats}"
    url = server.rpartition("/")[0] + "/" + name
    with psycopg.connect(server, autocommit=True) as connection:
        there = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        if not (there and keep):
            connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())
    database = Database.open(url)
    await database.migrate()
    await database.close()
    if there and keep:
        return url
    print(
        f"{chats:,} chats, {chats * PER_CHAT:,} messages: {bulk_data.fill(url, chats, people)}",
        flush=True,
    )
    return url


async def measure(seen: list[View], rounds: int, offset: int) -> None:
    for name, operation in OPERATIONS.items():
        for round_number in range(rounds + WARM):
            for at in range(len(seen)):
                view = seen[(at + round_number) % len(seen)]
                began = time.perf_counter()
                await operation(view, offset + round_number)
                if round_number >= WARM:
                    view.times.setdefault(name, []).append(time.perf_counter() - began)


def report(seen: list[View]) -> bool:
    """As a table; whether everything is flat."""
    base, flat = seen[0], True
    print(f"\n{'median, ms':38}" + "".join(f"{view.name:>20}" for view in seen) + "  ratios")
    for name in OPERATIONS:
        ratios = [view.median(name) / base.median(name) for view in seen[1:]]
        flat &= max(ratios) <= FLAT
        columns = "".join(f"{view.median(name):20.2f}" for view in seen)
        print(
            f"{name:38}{columns}  {', '.join(f'{r:.2f}' for r in ratios)}{'' if max(ratios) <= FLAT else '  <-'}"
        )
    return flat


async def explain(view: View, offset: int) -> None:
    """The query plans of the operations; statements that change something are planned without being executed."""
    asked: dict[str, Any] = {}

    def remember(
        _c: object, _u: object, statement: str, parameters: Any, _x: object, _m: bool
    ) -> None:
        if not statement.startswith(("EXPLAIN", "SET", "BEGIN")):
            asked.setdefault(statement, parameters)

    for engine in view.database.engines:
        event.listen(engine.sync_engine, "before_cursor_execute", remember)

    for name, operation in OPERATIONS.items():
        asked.clear()
        await operation(view, offset)
        print(f"\n== {name}, {view.name}")
        with psycopg.connect(view.url, autocommit=True) as connection:
            connection.execute("SET jit = off")  # as searches do
            for statement, parameters in asked.items():
                how = "(ANALYZE, BUFFERS)" if statement.startswith(("SELECT", "WITH")) else ""
                rows = connection.execute(
                    f"EXPLAIN {how} {statement}".encode(), parameters
                ).fetchall()
                print("--", " ".join(statement.split())[:110])
                print("\n".join(row[0] for row in rows))


async def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chats", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    server = services.postgresql(*SERVER)
    try:
        async with views(
            server.url, options.chats, options.keep and "TEST_POSTGRES_URL" in os.environ
        ) as seen:
            offset = (
                int(time.time()) % 100_000_000 * 1_000
            )  # the chats take turns; the messages are always new
            await measure(seen, options.rounds, offset)
            flat = report(seen)
            if options.explain:
                for view in seen[1:]:
                    await explain(view, offset + options.rounds + WARM)
        return 0 if flat else 1
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
