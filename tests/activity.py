"""Whether a process is computing, according to Linux's accounting."""

from __future__ import annotations

import threading
from pathlib import Path

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


def _is_active(thread: Path) -> bool:
    try:
        return (thread / "stat").read_text().rpartition(") ")[2].startswith(_ACTIVE)
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False
