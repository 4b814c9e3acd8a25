"""HTTP clients of servers on this machine."""

from __future__ import annotations

from typing import Any

import httpx


def local_client(**options: Any) -> httpx.AsyncClient:
    """A client without proxies and certificates; loading these takes longer than most requests here."""
    return httpx.AsyncClient(**options, trust_env=False, verify=False)
