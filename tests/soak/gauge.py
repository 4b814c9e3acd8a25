"""What a process holds, as the kernel and the process itself tell."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx


@dataclass(frozen=True)
class Sample:
    megabytes: float
    files: int
    """Open descriptors of every kind."""
    sockets: int
    tasks: int
    """Of asyncio."""


async def sample(pid: int, http: httpx.AsyncClient) -> Sample:
    """Raises httpx.TransportError."""
    told = (await http.get("/metrics")).text
    tasks = re.search(r"^bobbin_tasks (\S+)", told, re.MULTILINE)
    assert tasks is not None
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(link))
        except FileNotFoundError:
            continue
    sockets = sum(link.startswith("socket:") for link in links)
    return Sample(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(links), sockets, int(float(tasks[1])))


def growth(samples: list[Sample]) -> float:
    """Megabytes by which the last tenth lies above the third tenth: what comes before is warming up."""
    tenth = max(1, len(samples) // 10)
    early, late = samples[2 * tenth : 3 * tenth] or samples[:1], samples[-tenth:]
    return median(each.megabytes for each in late) - median(each.megabytes for each in early)
