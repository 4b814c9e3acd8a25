"""Reads the database of a world, behind the bot's back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.deadlines import WAIT_TIMEOUT

Row = dict[str, Any]


class Reader:
    """Reads a database file whenever asked, which is often while a test waits: it stays open."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def rows(self, query: str, *values: Any) -> list[Row]:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._file, timeout=WAIT_TIMEOUT, isolation_level=None
            )
            self._connection.row_factory = sqlite3.Row
        return [dict(row) for row in self._connection.execute(query, values)]

    def close(self) -> None:
        """Until it is asked again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
