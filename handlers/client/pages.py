"""Pagination of Slack's lists. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PAGE_SIZE = 200
"""Messages in one page of a thread or a channel."""


def next_cursor_of(page: Mapping[str, Any]) -> str | None:
    """The cursor of the next page; None after the last."""
    found = (page.get("response_metadata") or {}).get("next_cursor")
    return str(found) if found else None
