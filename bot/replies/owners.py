"""Who writes an answer: a process, by a name that tells later whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket


def new_owner() -> str:
    """A name for this process, unique however often process ids come again."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def surely_dead(owner: str, me: str) -> bool:
    """Whether the process behind this name is gone for certain, as seen from the same machine."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdigit() or owner == me:
        return False
    if int(rest) == os.getpid():
        return True  # an earlier process had our id
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
