"""Why a tool server cannot be used, in a few words without secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
from mcp import MCPError
from mcp.types import HEADER_MISMATCH
from pydantic import ValidationError

REQUEST_TIMEOUT = -32001
CERTAINLY_REFUSED = frozenset({-32700, -32600, -32601, -32602, HEADER_MISMATCH})
"""Errors of JSON-RPC that say that the request was not carried out. After any other it may have taken effect."""


def explain(error: BaseException, status: int | None) -> str:
    """What to tell an operator. `status`: of the last HTTP response that was no success."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, FileNotFoundError):
            return "the command is not found: check it, and that it is installed"
        if isinstance(leaf, PermissionError):
            return "the command may not be run: make it executable"
    if status is not None:
        return _STATUS.get(status, f"answers HTTP {status}: check the url")
    for leaf in leaves:
        if isinstance(leaf, TimeoutError | httpx2.TimeoutException):
            return "does not answer in time: check that it runs"
        if isinstance(leaf, httpx2.HTTPError):
            return "cannot be reached: check the url and the network"
    if any(isinstance(leaf, ValidationError) for leaf in leaves):
        return "answers against the protocol: update the server"
    if any(isinstance(leaf, MCPError) for leaf in leaves):
        return "ended the connection: check that it is a server of the Model Context Protocol"
    return f"fails ({type(leaves[0]).__name__})"


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
