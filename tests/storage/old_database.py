"""A PostgreSQL database as version 0007 left it, with many messages, and people who write while it is upgraded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from alembic import command
from sqlalchemy import text

from bot.chats.index_filling import IndexFilling
from bot.domain import User
from storage.action_claims import ActionClaims
from storage.chats import Chats
from storage.engine.database import Database
from storage.engine.migrate import configuration
from storage.messages import NewMessage
from storage.search_index import SearchIndex

ANN = User("T1", "U1")
PAUSE = 0.02
"""Seconds between two messages of one writer."""
WRITERS = 4
_CHUNK = 250
"""Chats that are made in one transaction."""
# As a version before the search index stored them: Ann takes part in all chats, everybody else in one.
_OLD_ROWS = (
    """
INSERT INTO chats (id, team, owner, title, title_by, provider, model, message_count, created_at, updated_at)
SELECT lpad(n::text, 32, '0'), 'T1', 'U1', 'Title ' || n, 'model', 'a', 'b', :messages, now(), now()
FROM generate_series(:first ::int, :last ::int) n
""",
    """
INSERT INTO messages (id, chat_id, number, role, text, status, author, created_at, updated_at)
SELECT lpad((n * 1000 + m)::text, 32, '0'), lpad(n::text, 32, '0'), m,
  CASE m % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
  'word' || n, 'done', CASE m % 2 WHEN 1 THEN 'U1' END, now(), now()
FROM generate_series(:first ::int, :last ::int) n, generate_series(1, :messages ::int) m
""",
    """
INSERT INTO participants (team, "user", chat_id, active_at, away)
SELECT 'T1', person, lpad(n::text, 32, '0'), now() - n * interval '1 s', false
FROM generate_series(:first ::int, :last ::int) n, unnest(ARRAY['U1', 'U' || (n + 10)]) person
""",
)
_OLD_WRITES = (
    "UPDATE chats SET message_count = message_count + 1, updated_at = now() WHERE id = :chat",
    """
INSERT INTO messages (id, chat_id, number, role, text, status, author, created_at, updated_at)
SELECT md5(:id ::text), id, message_count, 'user', 'old words of ' || :id ::text, 'done', 'U1', now(), now()
FROM chats WHERE id = :chat
""",
)
"""How a replica of the version before stores a message."""
MISSING = text(
    """
SELECT count(*) FROM participants JOIN messages USING (chat_id)
LEFT JOIN passages USING (team, "user", chat_id, number)
WHERE participants.indexed AND messages.text <> '' AND passages.text IS DISTINCT FROM lower(messages.text)
"""
)
"""Messages that the index lacks or contains in another form."""


@dataclass
class OldDatabase:
    database: Database
    chats: int
    messages: int
    """Of each chat."""

    @classmethod
    async def create(cls, url: str, chats: int, messages: int) -> OldDatabase:
        database = Database.open(url)
        async with database.begin() as connection:
            await connection.run_sync(lambda sync: command.upgrade(configuration(sync), "0007"))
        for first in range(1, chats + 1, _CHUNK):
            values = {"first": first, "last": min(first + _CHUNK - 1, chats), "messages": messages}
            async with database.begin() as connection:
                for statement in _OLD_ROWS:
                    given = {name: values[name] for name in values if f":{name}" in statement}
                    await connection.execute(text(statement), given)
        return cls(database, chats, messages)

    async def write_as_before(self, number: int) -> None:
        values = {"chat": self._chat(number), "id": f"{number} {time.monotonic_ns()}"}
        async with self.database.begin() as connection:
            for statement in _OLD_WRITES:
                given = {name: values[name] for name in values if f":{name}" in statement}
                await connection.execute(text(statement), given)

    async def write(self, number: int) -> None:
        message = NewMessage(f"later{number}", ANN.id)
        await Chats(self.database).add_message(self._chat(number), message, limit=1_000)

    async def fill(self) -> None:
        """The long work of the upgrade, offered by two replicas."""
        index = SearchIndex(self.database)
        fillings = [IndexFilling(index, ActionClaims(self.database)) for _ in range(2)]
        await asyncio.gather(*(filling.run() for filling in fillings))

    def _chat(self, number: int) -> str:
        return f"{number % self.chats + 1:032}"


@dataclass
class Served:
    """What people wrote meanwhile."""

    seconds: list[float] = field(default_factory=list)
    """How long each message took to be stored."""


@asynccontextmanager
async def people_writing(write: Callable[[int], Awaitable[None]]) -> AsyncIterator[Served]:
    """While this is open. The end of it raises what any message failed with."""
    served, ended = Served(), asyncio.Event()

    async def writer(first: int) -> None:
        number = first
        while not ended.is_set():
            began = time.perf_counter()
            await write(number)
            served.seconds.append(time.perf_counter() - began)
            number += WRITERS
            await asyncio.sleep(PAUSE)

    async with asyncio.TaskGroup() as group:
        for first in range(WRITERS):
            group.create_task(writer(first))
        try:
            yield served
        finally:
            ended.set()
