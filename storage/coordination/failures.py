"""Explains for operators why Redis cannot be used, without keys, texts or passwords."""

from __future__ import annotations

import asyncio
import socket
import ssl

from redis import exceptions

_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (exceptions.AuthenticationError, exceptions.AuthenticationWrongNumberOfArgsError),
        "it refuses the user or the password",
    ),
    (
        (exceptions.NoPermissionError,),
        "its user may not do what Bobbin needs: EVAL, PUBLISH, SUBSCRIBE, with keys and channels bobbin:*",
    ),
    ((exceptions.ReadOnlyError,), "it is a replica, and read-only"),
    ((exceptions.BusyLoadingError,), "it is still loading its data"),
    ((exceptions.OutOfMemoryError,), "it has no memory left (maxmemory)"),
    ((exceptions.MaxConnectionsError,), "it accepts no more connections"),
    (
        (ssl.SSLCertVerificationError,),
        "its certificate is not trusted (name its authority's file in SSL_CERT_FILE)",
    ),
    (
        (ssl.SSLError,),
        "TLS failed (rediss:// is with TLS, redis:// without)",
    ),
    ((ConnectionRefusedError,), "the connection is refused, nothing listens there"),
    ((socket.gaierror,), "its host's name cannot be resolved"),
    ((FileNotFoundError, PermissionError), "its socket file does not exist or may not be opened"),
    ((asyncio.TimeoutError, exceptions.TimeoutError), "it does not answer"),
)


def reason_of(error: BaseException) -> str:
    """What the error means; continues "Redis cannot be reached: "."""
    for cause in _chain(error):
        for kinds, reason in _REASONS:
            if isinstance(cause, kinds):
                return reason
    text = str(error)
    if "NOAUTH" in text or "WRONGPASS" in text:
        return "it refuses the user or the password"
    if isinstance(error, exceptions.ConnectionError):
        return _first_line(text)
    return f"{type(error).__name__}: {_first_line(text)}"


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and its causes, the innermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.insert(0, error)
        error = error.__cause__ or error.__context__
    return found


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:150]
