"""Who writes an answer: a process, by a name that tells later whether it still lives."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from functools import cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")


def new_worker_id() -> str:
    """A name for one who writes in this process, unique however often process ids come again."""
    return f"{socket.gethostname()}/{_neighbourhood()}:{os.getpid()}:{_this_process()}{secrets.token_hex(4)}"


def is_dead(owner: str, me: str, *, one_machine: bool) -> bool:
    """Whether the process behind this name is gone for certain.

    Only neighbours can tell: processes that see each other's ids. `one_machine`: all that share the database run on
    one, so the host's name is enough.
    """
    where, _, rest = owner.rpartition(":")[0].rpartition(":")
    mine = me.rpartition(":")[0].rpartition(":")[0]
    if one_machine:
        where, mine = where.partition("/")[0], mine.partition("/")[0]
    elif where.endswith("/"):
        return False
    if where != mine or not rest.isdigit() or owner == me:
        return False
    if int(rest) == os.getpid():
        return not owner.rpartition(":")[2].startswith(
            _this_process()
        )  # an earlier process had our id
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@cache
def _this_process() -> str:
    """Drawn once: by it those who write in the same process know each other."""
    return secrets.token_hex(4)


def _neighbourhood() -> str:
    """The same for all processes that see each other's ids, and nowhere else; empty where the system does not say."""
    try:
        what = f"{_BOOT.read_text()} {os.readlink(_PROCESSES)}"
    except OSError:
        return ""
    return hashlib.sha256(what.encode()).hexdigest()[:12]
