"""Explains for operators why Redis cannot be used, without keys, texts or passwords."""

from __future__ import annotations

import asyncio
import socket
import ssl

from redis import exceptions

from storage.coordination.base import Loss

_CONNECTION = (
    "check that it runs, that REDIS_URL is right, and whether it speaks TLS (rediss:// is with TLS, "
    "redis:// without)"
)
_CREDENTIALS = "correct the user and the password in REDIS_URL"
_REASONS: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    (
        (exceptions.AuthenticationError, exceptions.AuthenticationWrongNumberOfArgsError),
        "it refuses the user or the password",
        _CREDENTIALS,
    ),
    (
        (exceptions.NoPermissionError,),
        "its user may not do what Bobbin needs: EVAL, PUBLISH, SUBSCRIBE, with keys and channels bobbin:*",
        "ACL SETUSER NAME +eval +publish +subscribe ~bobbin:* &bobbin:*",
    ),
    (
        (exceptions.ReadOnlyError,),
        "it is a replica, and read-only",
        "REDIS_URL must name the primary",
    ),
    (
        (exceptions.AskError, exceptions.ClusterError, exceptions.ClusterCrossSlotError),
        "it is one of the nodes of a Redis Cluster, which Bobbin cannot use",
        "REDIS_URL must name a Redis without cluster mode",
    ),
    ((exceptions.BusyLoadingError,), "it is still loading its data", "try again soon"),
    (
        (exceptions.OutOfMemoryError,),
        "it has no memory left (maxmemory)",
        "raise maxmemory there, or set its maxmemory-policy to allkeys-lru",
    ),
    (
        (exceptions.MaxConnectionsError,),
        "it accepts no more connections",
        "raise maxclients there, or run fewer processes",
    ),
    (
        (ssl.SSLCertVerificationError,),
        "its certificate is not trusted",
        "name the file of its authority's certificate in SSL_CERT_FILE",
    ),
    ((ssl.SSLError,), "TLS failed", _CONNECTION),
    ((ConnectionRefusedError,), "the connection is refused, nothing listens there", _CONNECTION),
    (
        (socket.gaierror,),
        "its host's name cannot be resolved",
        "correct the host in REDIS_URL, or check this machine's DNS",
    ),
    (
        (FileNotFoundError, PermissionError),
        "a file that REDIS_URL names does not exist or may not be opened",
        "correct the path in REDIS_URL, and let Bobbin's user open the file",
    ),
    ((asyncio.TimeoutError, exceptions.TimeoutError), "it does not answer", _CONNECTION),
)
"""The meaning of each kind of error, and what to do about it."""
_REFUSED = Loss("it refuses the user or the password", _CREDENTIALS)
_BY_TEXT = {
    "NOAUTH": _REFUSED,
    "WRONGPASS": _REFUSED,
    "max number of clients": Loss(
        "it accepts no more connections", "raise maxclients there, or run fewer processes"
    ),
    "DB index is out of range": Loss(
        "it has no database of this number (DB index is out of range)",
        "correct the number at the end of REDIS_URL",
    ),
}


def loss_of(error: BaseException) -> Loss:
    """The meaning of the error."""
    for cause in _chain(error):
        for kinds, reason, cure in _REASONS:
            if isinstance(cause, kinds):
                return Loss(reason, cure)
    text = _first_line(str(error))
    for part, loss in _BY_TEXT.items():
        if part in text:
            return loss
    name = "" if isinstance(error, exceptions.ConnectionError) else f"{type(error).__name__}: "
    return Loss(f"{name}{text}", _CONNECTION)


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and its causes, the innermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.insert(0, error)
        error = error.__cause__ or error.__context__
    return found


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:150]
