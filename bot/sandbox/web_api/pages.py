"""Pagination as in Slack: a cursor for the next page, or the older numbered pages."""

from __future__ import annotations

import base64
from typing import TypeVar

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.types import Json
from bot.sandbox.web_api.calls import Call

Item = TypeVar("Item")
MAX_LIMIT = 1000


def page_of(call: Call, items: list[Item], default: int) -> tuple[list[Item], str]:
    """The items from the call's `cursor` on, `limit` at most, and the cursor of the next page (empty: none).

    Raises SlackRefusal `invalid_limit` or `invalid_cursor`.
    """
    limit = call.args.number("limit", 0) or default
    if not 0 < limit <= MAX_LIMIT:
        raise SlackRefusal("invalid_limit")
    start = _position(call.args.text("cursor"))
    rest = start + limit < len(items)
    return items[start : start + limit], _cursor(start + limit) if rest else ""


def next_page(cursor: str) -> Json:
    """The field with the cursor, which Slack includes in every list, empty at the end."""
    return {"response_metadata": {"next_cursor": cursor}}


def numbered_page(call: Call, items: list[Item]) -> tuple[list[Item], Json]:
    """The items of page number `page`, with `count` on each, and Slack's `paging`."""
    count, number = call.args.number("count", 100), call.args.number("page", 1)
    if count < 1 or number < 1:
        raise SlackRefusal("invalid_arguments", "[ERROR] count and page must be at least 1")
    pages = max(1, -(-len(items) // count))
    paging = {"count": count, "total": len(items), "page": number, "pages": pages}
    return items[(number - 1) * count : number * count], {"paging": paging}


def _cursor(position: int) -> str:
    return base64.b64encode(f"next:{position}".encode()).decode()


def _position(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        word, _, number = base64.b64decode(cursor, validate=True).decode().partition(":")
        if word == "next" and number.isdecimal():
            return int(number)
    except ValueError:
        pass
    raise SlackRefusal("invalid_cursor")
