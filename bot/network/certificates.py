"""The certificates of trusted authorities.

By default these are the system's and certifi's, since some systems have none, and certifi lacks a company's own.
Certificates named in the settings replace them; only the system's folder stays, which OpenSSL searches when needed.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import certifi

_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""A file that OpenSSL finds in a folder by itself, when needed."""
_SUFFIXES = frozenset({".pem", ".crt", ".cer"})


def tls_context(named: Iterable[Path] = ()) -> ssl.SSLContext:
    """The context for all TLS connections. `named`: files and folders of certificates. Raises OSError if one contains
    none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Companies' certificates often violate the strictest rules of X.509, which browsers do not enforce.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    paths = tuple(dict.fromkeys(named))
    if not paths:
        context.load_default_certs()
        paths = (Path(certifi.where()),)
    elif folder := ssl.get_default_verify_paths().capath:
        context.load_verify_locations(capath=folder)
    for path in paths:
        _load(context, path)
    return context


@lru_cache(maxsize=16)  # several variables usually name the same file, which takes a moment to read
def has_certificates(path: Path) -> bool:
    """False for a folder without any. Raises OSError (ssl.SSLError is one) for what cannot be read, or is not a
    certificate.
    """
    return _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)


def _load(context: ssl.SSLContext, path: Path) -> bool:
    """Whether there are any certificates."""
    if not path.is_dir():
        context.load_verify_locations(cafile=path)
        return True
    files = list(path.iterdir())
    context.load_verify_locations(capath=path)
    if any(_HASHED.fullmatch(each.name) for each in files):
        return True
    named = [each for each in files if each.suffix.lower() in _SUFFIXES]
    for file in named:
        context.load_verify_locations(cafile=file)
    return bool(named)
