"""Worker ids: which process writes an answer, and whether that process is still alive."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from functools import cache
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE = Path("/proc/self/ns/pid")


def new_worker_id(boot_id: Path = BOOT_ID) -> str:
    """An id for a worker in this process, unique even when process ids are used again.

    Its form is `host/pid-space:pid:process-and-worker`. `boot_id`: the file that tells one start of the machine from
    another.
    """
    place = f"{socket.gethostname()}/{_pid_space(boot_id)}"
    return f"{place}:{os.getpid()}:{_process_token()}{secrets.token_hex(4)}"


def is_dead(worker_id: str, own_id: str, *, single_host: bool) -> bool:
    """Whether the process of this worker is certainly gone; False when in doubt.

    Only processes that see each other's process ids can tell. `single_host`: all processes that share the database
    run on one machine, so the host's name is enough.
    """
    place, pid, token = _split(worker_id)
    own_place, _, _ = _split(own_id)
    if single_host:
        place = place.partition("/")[0]
        own_place = own_place.partition("/")[0]
    elif place.endswith("/"):
        return False
    if place != own_place or not pid.isdigit() or worker_id == own_id:
        return False
    if int(pid) == os.getpid():
        return not token.startswith(_process_token())  # an earlier process had our process id
    return _is_gone(int(pid))


def _split(worker_id: str) -> tuple[str, str, str]:
    """Place, process id and token."""
    rest, _, token = worker_id.rpartition(":")
    place, _, pid = rest.rpartition(":")
    return place, pid, token


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@cache
def _process_token() -> str:
    """The same for all workers of this process, and for no other process."""
    return secrets.token_hex(4)


def _pid_space(boot_id: Path) -> str:
    """The same for all processes that see each other's process ids, and only for those; empty where unknown."""
    try:
        space = f"{boot_id.read_text()} {os.readlink(PID_NAMESPACE)}"
    except OSError:
        return ""
    return hashlib.sha256(space.encode()).hexdigest()[:12]
