"""Whether a process is computing, according to Linux's accounting, or waits for its database."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy.pool import QueuePool

from storage.engine.database import Database

_ACTIVE = ("R", "D")
"""States in /proc of a thread that runs, waits for a processor, or waits for a disk."""


def is_computing(pid: int) -> bool:
    """Whether any thread of the process is computing or waiting for a processor; the calling thread does not count."""
    own = threading.get_native_id()
    threads = Path(f"/proc/{pid}/task")
    try:
        return any(_is_active(each) for each in threads.iterdir() if int(each.name) != own)
    except FileNotFoundError:  # no such process, or not on Linux
        return False


def connections_in_use(database: Database) -> int:
    """How many connections have a statement or a transaction that has not ended."""
    pools = [engine.pool for engine in database.engines]
    return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))


def _is_active(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(") ")[2].startswith(_ACTIVE)
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False
