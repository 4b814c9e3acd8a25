"""Explains in a few words, without secrets, why a tool server cannot be used. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
from mcp import MCPError
from mcp.types import HEADER_MISMATCH, URL_ELICITATION_REQUIRED
from pydantic import ValidationError

from bot.network.failures import explain as explain_connection

REQUEST_TIMEOUT = -32001
CERTAINLY_REFUSED = frozenset(
    {-32700, -32600, -32601, -32602, HEADER_MISMATCH, -32021, -32022, URL_ELICITATION_REQUIRED}
)
"""JSON-RPC errors which mean that the request was not carried out. After any other, it may have taken effect."""

UNUSABLE_RESPONSES = (
    "Failed to parse",
    "Unexpected content type",
    "server answered a request with 202",
)
"""How `mcp` begins its own errors about responses that it cannot use, with the codes of a refusal. The server may have
made the call before, whoever sent such a response."""
SESSION_GONE = "Session terminated"
"""What `mcp` says when the server, or a proxy in front of it, does not know the session: nothing was called."""

_Kinds = type[BaseException] | tuple[type[BaseException], ...]
_HERE: tuple[tuple[_Kinds, str], ...] = (
    (FileNotFoundError, "the command is not found: check it, and that it is installed"),
    (PermissionError, "the command may not be run: make it executable"),
)
_UNKNOWN_VERSION = "Unsupported protocol version"
"""How `mcp`'s error begins for a server that requires a protocol version it doesn't support."""
_THERE: tuple[tuple[_Kinds, str], ...] = (
    (
        (TimeoutError, httpx2.TimeoutException),
        "does not answer in time: check that it runs",
    ),
    (httpx2.HTTPError, "cannot be reached: check the url and the network"),
    (
        ValidationError,
        "answers against the protocol: update the server",
    ),
    (
        MCPError,
        "ended the connection: check that it is a server of the Model Context Protocol",
    ),
)
"""The meaning of errors; the first match counts."""


def explain(error: BaseException, status: int | None, login: str | None = None) -> str:
    """What to tell an operator.

    `status`: of the last HTTP response, if it was not a success. `login`: the problem with signing in.
    """
    leaves = list(_leaves(error))
    on_the_way = (explain_connection(leaf.__cause__) for leaf in leaves)
    return (
        _first(_HERE, leaves)
        or next((meaning for meaning in on_the_way if meaning), None)
        or login
        or (_STATUS.get(status, f"answers HTTP {status}: check the url") if status else None)
        or _first(_THERE, leaves)
        or next((_OTHER_VERSION for leaf in leaves if _wants_other_version(leaf)), None)
        or f"fails ({type(leaves[0]).__name__})"
    )


def _wants_other_version(leaf: BaseException) -> bool:
    return isinstance(leaf, RuntimeError) and str(leaf).startswith(_UNKNOWN_VERSION)


def _first(meanings: tuple[tuple[_Kinds, str], ...], leaves: list[BaseException]) -> str | None:
    for kinds, meaning in meanings:
        if any(isinstance(leaf, kinds) for leaf in leaves):
            return meaning
    return None


_OTHER_VERSION = (
    "speaks a version of the protocol that Bobbin does not: update Bobbin, or the server"
)
_STATUS = {
    401: "refuses the credentials: check headers or oauth",
    403: "refuses access: check headers or oauth",
    404: "has no tools at that address: check the url",
    429: "is too busy: it is tried again later",
}


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
