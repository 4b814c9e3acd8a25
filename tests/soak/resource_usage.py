"""The memory, open files and tasks of a process."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx


@dataclass(frozen=True)
class Sample:
    megabytes: float
    files: Mapping[str, int]
    """Open descriptors by kind: files by name, sockets by the port of their peer."""
    tasks: int
    """asyncio tasks."""

    def __str__(self) -> str:
        return f"{self.megabytes:.0f} MB, {sum(self.files.values())} open files, {self.tasks} tasks"


async def sample(pid: int, http: httpx.AsyncClient) -> Sample:
    """Measures a process now; `http` reaches its /metrics. Raises httpx.TransportError."""
    exposition = (await http.get("/metrics")).text
    tasks = re.search(r"^bobbin_tasks (\S+)", exposition, re.MULTILINE)
    assert tasks is not None
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    kinds = Counter(
        kind for link in Path(f"/proc/{pid}/fd").iterdir() if (kind := _kind(link, _peers(pid)))
    )
    return Sample(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, kinds, int(float(tasks[1])))


def _kind(descriptor: Path, peers: Mapping[str, str]) -> str | None:
    try:
        target = os.readlink(descriptor)
    except FileNotFoundError:
        return None
    if target.startswith("socket:"):
        return f"socket to {peers.get(target[8:-1], 'somewhere local')}"
    return target.partition(":")[0] if ":[" in target else Path(target).name


def _peers(pid: int) -> dict[str, str]:
    """The ports of the peers, by the inode of the socket."""
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {line[9]: str(int(line[2].rpartition(":")[2], 16)) for line in lines}


def growth(samples: list[Sample], of: Callable[[Sample], float]) -> float:
    """How much the last tenth exceeds the third tenth, since the first two fill caches and pools."""
    tenth = max(1, len(samples) // 10)
    early, late = samples[2 * tenth : 3 * tenth] or samples[:1], samples[-tenth:]
    return median(map(of, late)) - median(map(of, early))
