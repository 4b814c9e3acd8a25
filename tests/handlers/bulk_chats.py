"""Chats by the thousand, written into the database as the product would have stored them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.handlers.world import World

TEAM = "T0SANDBOX"


async def insert_chats(
    world: World,
    count: int,
    *,
    user: str = "U0ALICE",
    channel: str = "C0GENERAL",
    title: Callable[[int], str] = "Chat {}".format,
    text: Callable[[int], str] = "Question {}".format,
    team: str = TEAM,
    prefix: str = "m",
) -> None:
    """Chats of this person, number `count - 1` the most recent; each with a question and its answer."""
    await asyncio.to_thread(_write, world, count, user, channel, title, text, team, prefix)


def _write(
    world: World,
    count: int,
    user: str,
    channel: str,
    title: Callable[[int], str],
    text: Callable[[int], str],
    team: str,
    prefix: str,
) -> None:
    first = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1) - timedelta(seconds=count)
    when = [(first + timedelta(seconds=number)).isoformat(" ") for number in range(count)]
    ids = [f"{prefix}{number:030d}"[:32] for number in range(count)]
    with sqlite3.connect(world.database, timeout=10) as connection:
        connection.executemany(
            "INSERT INTO chats (id, team, channel, thread, owner, title, title_by, provider, model, message_count, "
            "created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, 'model', 'openai', 'demo/quick', 2, ?, ?)",
            [
                (
                    ids[n],
                    team,
                    channel,
                    f"16{prefix.encode().hex()}{n:08d}.000100",
                    user,
                    title(n),
                    when[n],
                    when[n],
                )
                for n in range(count)
            ],
        )
        connection.executemany(
            "INSERT INTO messages (id, chat_id, number, role, text, status, author, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, 'done', ?, ?, ?)",
            [
                (f"{role[0]}{ids[n]}"[:32], ids[n], number, role, said, author, when[n], when[n])
                for n in range(count)
                for number, role, said, author in (
                    (1, "user", text(n), user),
                    (2, "assistant", "Indeed.", None),
                )
            ],
        )
        connection.executemany(
            'INSERT INTO participants (team, "user", chat_id, active_at) VALUES (?, ?, ?, ?)',
            [(team, user, ids[n], when[n]) for n in range(count)],
        )
    connection.close()
