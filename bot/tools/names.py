"""Makes tool names that are unique across all servers and valid for every provider. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MAX_LENGTH = 64
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]+")
_HASH_LENGTH = 6


def legal_names(paths: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A name for each (server, tool): the server's name and the tool's own, `server__tool`.

    The same tools get the same names in whatever order they come; a name that had to be changed ends with a hash of the
    original.
    """
    return {(server, tool): _legal(server, tool) for server, tool in paths}


def _legal(server: str, tool: str) -> str:
    wanted = f"{server}__{tool}"
    made = _ILLEGAL.sub("_", wanted)
    if made == wanted and len(made) <= MAX_LENGTH and _is_clear(server, tool):
        return made
    mark = hashlib.sha256(f"{server}/{tool}".encode()).hexdigest()[:_HASH_LENGTH]
    return f"{made[: MAX_LENGTH - _HASH_LENGTH - 1]}_{mark}"


def _is_clear(server: str, tool: str) -> bool:
    """Whether no other server and tool can produce the same name."""
    return not ("__" in server or "__" in tool or server.endswith("_") or tool.startswith("_"))
