"""Lists, search and a continued chat beside each other: among a thousand chats, and among very many.

    python -m tests.bench.scale [--chats 1000000] [--own 5000] [--rounds 60] [--explain]

Two PostgreSQL databases are filled, ten messages to a chat: a small one in which one person owns all thousand chats,
and a big one in which one person owns `--own` of them. The same operations run on both in turn, so that whatever else
the machine does strikes both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import psycopg

from bot.domain import Person, Place
from storage.chats import Chats, NewMessage
from storage.database import Database
from storage.replies import Replies
from tests import services

TEAM, WHO = "T0BENCH", "U0MANY"
PERSON = Person(TEAM, WHO)
PER_CHAT = 10
RARE, COMMON, NOWHERE, ELSEWHERE = "zanzibar", "question", "xylophonist", "tangerine"
"""Words: in a few of the person's chats, in all, in none at all, in many of other people's chats alone."""
FLAT = 1.3

FILL = f"""
CREATE TEMPORARY TABLE phrases AS
  SELECT k, string_agg(substr(md5((k * 12 + w)::text), 1, 3 + (k + w) % 7), ' ') AS text
  FROM generate_series(0, 4999) k, generate_series(1, 12) w GROUP BY k;
CREATE UNIQUE INDEX ON phrases (k);
SET session_replication_role = replica;  -- no foreign key is checked: we know that they hold

INSERT INTO chats (id, team, channel, thread, owner, title, title_by, provider, model, message_count,
                   created_at, updated_at)
  SELECT lpad(to_hex(n), 32, '0'), '{TEAM}', 'C' || n % 300, n || '.1',
         CASE WHEN n % :every: = 0 AND n / :every: < :own: THEN '{WHO}' ELSE 'U' || n % 20000 END,
         'About ' || p.text, 'model', 'openai', 'demo/quick', {PER_CHAT},
         now() - (:chats: - n) * interval '1 second', now()
  FROM generate_series(0, :chats: - 1) AS s(n) JOIN phrases p ON p.k = n % 5000;

INSERT INTO participants (team, "user", chat_id, active_at, away)
  SELECT team, owner, id, created_at, false FROM chats;

INSERT INTO messages (id, chat_id, number, role, text, status, author, created_at, updated_at)
  SELECT 'm' || lpad(to_hex(n), 31, '0'), lpad(to_hex(n / {PER_CHAT}), 32, '0'), n % {PER_CHAT} + 1,
         CASE WHEN n % 2 = 0 THEN 'user' ELSE 'assistant' END,
         a.text || ' {COMMON} ' || b.text
           || CASE WHEN n % 10007 = 0 THEN ' {RARE}' WHEN n % 50 = 1 THEN ' {ELSEWHERE}' ELSE '' END,
         'done', CASE WHEN n % 2 = 0 THEN '{WHO}' END, now(), now()
  FROM generate_series(0::bigint, :chats:::bigint * {PER_CHAT} - 1) AS s(n)
  JOIN phrases a ON a.k = (n * 7919) % 5000 JOIN phrases b ON b.k = (n * 104729 + n / 5000) % 5000;

UPDATE messages SET text = replace(text, ' {ELSEWHERE}', '') WHERE text LIKE '% {ELSEWHERE}'
  AND chat_id IN (SELECT id FROM chats WHERE owner = '{WHO}');
UPDATE messages SET text = text || ' {RARE}' WHERE number = 5
  AND chat_id IN (SELECT id FROM chats WHERE owner = '{WHO}' ORDER BY created_at LIMIT 7);

INSERT INTO answers (message_id, chat_id, number, question_id, state, attempt, complete, ending, cut, parts,
                     stop_requested, queued, model)
  SELECT 'm' || lpad(to_hex(n), 31, '0'), lpad(to_hex(n / {PER_CHAT}), 32, '0'), n % {PER_CHAT} + 1,
         'm' || lpad(to_hex(n - 1), 31, '0'), 'ended', 1, true, 'done', false, '[]', false, false, 'openai:demo/quick'
  FROM generate_series(1::bigint, :chats:::bigint * {PER_CHAT} - 1, 2) AS s(n);
"""


@dataclass
class Filled:
    """One filled database, and what was measured on it."""

    name: str
    url: str
    database: Database
    every: int
    """Every so manieth chat is the person's own."""
    times: dict[str, list[float]] = field(default_factory=dict)

    @property
    def chats(self) -> Chats:
        return Chats(self.database)

    @property
    def replies(self) -> Replies:
        return Replies(self.database)


async def filled(server: str, name: str, chats: int, own: int) -> Filled:
    service = services.new_database(server)
    database = Database.open(service.url)
    await database.migrate()
    began = time.monotonic()
    numbers = {"chats": chats, "own": own, "every": max(1, chats // own)}
    with psycopg.connect(service.url, autocommit=True) as connection:
        connection.execute("DROP INDEX ix_messages_trigrams, ix_chats_trigrams")  # quicker made anew than filled
        for statement in filter(str.strip, _with(FILL, numbers).split(";\n")):
            connection.execute(statement.encode())
        connection.execute("SET maintenance_work_mem = '1GB'")
        for statement in import_module("storage.migrations.versions.0006_lists").TRIGRAMS:
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
        size = connection.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
    assert size is not None
    print(f"{name}: {chats:,} chats, {chats * PER_CHAT:,} messages, {own:,} the person's own: "
          f"{time.monotonic() - began:.0f} s, {size[0]}", flush=True)  # fmt: skip
    return Filled(name, service.url, database, numbers["every"])


def _with(text: str, numbers: dict[str, int]) -> str:
    for name, number in numbers.items():
        text = text.replace(f":{name}:", str(number))
    return text


Operation = Callable[[Filled, int], Awaitable[object]]


async def first_page(there: Filled, turn: int) -> None:
    page = await there.chats.list_for(PERSON, limit=10)
    assert len(page.chats) == 10


async def tenth_page(there: Filled, turn: int) -> None:
    cursor = None
    for _ in range(10):
        cursor = (await there.chats.list_for(PERSON, limit=10, cursor=cursor)).next_cursor


def search(words: str, *, found: bool) -> Operation:
    async def operation(there: Filled, turn: int) -> None:
        page = await there.chats.list_for(PERSON, limit=10, words=words)
        assert bool(page.chats) is found, (words, page.total)

    return operation


async def go_on(there: Filled, turn: int) -> None:
    """A person's next message in a chat that exists, the claim of its answer, what the model is told, and the end."""
    n = 3 * (turn + 1) * there.every
    chat = await there.chats.by_place(Place(TEAM, f"C{n % 300}", f"{n}.1"))
    assert chat is not None
    await there.chats.say(chat.id, NewMessage(f"once more {turn}", WHO, source=f"{turn}"), limit=10_000)
    answer = await there.replies.claim(chat.id, "bench", 8.0)
    assert answer is not None
    assert len(await there.chats.history(chat.id, answer.number)) >= PER_CHAT + 1


OPERATIONS: dict[str, Operation] = {
    "first page of /chats": first_page,
    "ten pages": tenth_page,
    "search: a rare word": search(RARE, found=True),
    "search: a word in every chat": search(COMMON, found=True),
    "search: a word of others alone": search(ELSEWHERE, found=False),
    "search: a word that is nowhere": search(NOWHERE, found=False),
    "search: two words": search(f"{COMMON} {RARE}", found=True),
    "a continued chat": go_on,
}


async def measure(places: list[Filled], rounds: int) -> None:
    for name, operation in OPERATIONS.items():
        for turn in range(rounds + 8):
            for there in places if turn % 2 else reversed(places):
                began = time.perf_counter()
                await operation(there, turn)
                if turn >= 8:  # the first ones prepare statements and fill caches
                    there.times.setdefault(name, []).append(time.perf_counter() - began)


def report(small: Filled, big: Filled) -> bool:
    print(f"\n{'median, ms':34} {small.name:>10} {big.name:>10}  ratio")
    flat = True
    for name in OPERATIONS:
        one, other = (1000 * statistics.median(place.times[name]) for place in (small, big))
        flat &= other <= FLAT * one
        print(f"{name:34} {one:10.2f} {other:10.2f} {other / one:6.2f}{'' if other <= FLAT * one else '  <- not flat'}")
    return flat


async def explain(there: Filled) -> None:
    """The plans of what the operations ask, as the database itself logs them."""
    from sqlalchemy import event

    seen: dict[str, Any] = {}
    engine = there.database._engine.sync_engine

    @event.listens_for(engine, "before_cursor_execute")
    def remember(_c: object, _u: object, statement: str, parameters: Any, _x: object, _m: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            seen.setdefault(statement, parameters)

    for name, operation in OPERATIONS.items():
        seen.clear()
        await operation(there, 200)
        print(f"\n== {name}")
        with psycopg.connect(there.url, autocommit=True) as connection:
            for statement, parameters in seen.items():
                plan = f"EXPLAIN (ANALYZE, BUFFERS) {statement}".encode()
                rows = connection.execute(plan, parameters).fetchall()
                print("--", " ".join(statement.split())[:110])
                print("\n".join(row[0] for row in rows))


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int, default=100_000)
    parser.add_argument("--own", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--explain", action="store_true")
    options = parser.parse_args()
    server = services.postgresql()
    try:
        small = await filled(server.url, "small", 1_000, 1_000)
        big = await filled(server.url, "big", options.chats, options.own)
        await measure([small, big], options.rounds)
        flat = report(small, big)
        if options.explain:
            await explain(big)
        for place in (small, big):
            await place.database.close()
        return 0 if flat else 1
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
