"""Two replicas in one process, on a PostgreSQL database of their own; Slack sends each envelope to both."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from bot.app import build
from tests.handlers.world import Row, World


class PostgresWorld(World):
    """A world whose bot stores its data in PostgreSQL."""

    def __init__(self, folder: Path, log: io.StringIO, url: str, **options: Any) -> None:
        super().__init__(folder, log, database_url=SecretStr(url), **options)
        self._url = url

    def rows(self, query: str, *values: Any) -> list[Row]:
        with psycopg.connect(self._url, autocommit=True, row_factory=dict_row) as connection:
            return list(connection.execute(query.replace("?", "%s").encode(), values or None))


@asynccontextmanager
async def two_replicas(
    folder: Path, log: io.StringIO, url: str, **options: Any
) -> AsyncIterator[PostgresWorld]:
    """The world of the first replica, while the second runs beside it."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(PostgresWorld(folder, log, url, **options))
        second = await stack.enter_async_context(build(world.settings(), timing=world.timing))
        assert await second.transport.until_connected()
        world.further_bots.append(second)
        world.slack.faults.copies = 2
        yield world
        await world.until(
            lambda: world.slack.dispatcher.pending() == 0, "every event is acknowledged"
        )
