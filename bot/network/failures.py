"""Explains connection failures that are caused by a proxy, a certificate or a wrong address."""

from __future__ import annotations

import errno

import aiohttp

_WANTS_PASSWORD = 407
_EXHAUSTED = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}
)


def explain(error: BaseException | None) -> str | None:
    """Cause and remedy in one line, without credentials; None for failures of another kind."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refusal(error)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        why = error.os_error.strerror or str(error.os_error)
        return f"the proxy cannot be reached or refuses ({why}); check HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or "it cannot be verified"
        return (
            f"its certificate is not trusted ({why}); if a proxy or a server of your own signs it, "
            "name the file of that authority's certificate in SSL_CERT_FILE"
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "it does not speak TLS there, or not well; check the address and the proxy"
    if isinstance(error, aiohttp.TooManyRedirects):
        return "it redirects in a circle; check the address and the proxy"
    return None


def is_exhausted(error: BaseException | None) -> bool:
    """Whether a connection failed because this machine ran out of files, memory or ports."""
    cause = getattr(error, "os_error", error)
    return isinstance(cause, OSError) and cause.errno in _EXHAUSTED


def _refusal(error: aiohttp.ClientHttpProxyError) -> str:
    if error.status == _WANTS_PASSWORD:
        return "the proxy wants a user and a password (407): set HTTPS_PROXY to http://user:password@host:port"
    return (
        f"the proxy refuses the connection ({error.status} {error.message}); allow the address there, "
        "or name its host in NO_PROXY"
    )
