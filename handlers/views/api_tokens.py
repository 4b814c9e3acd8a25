"""The list of API tokens that a user reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot import strings
from storage.api_tokens import TokenInfo

MAX_LISTED = 20


def token_list(tokens: Sequence[TokenInfo]) -> str:
    """One line for each token: when it was made, when it expires, when it was last used. Newest first."""
    lines = [strings.API_ACCESS_HEADING.format(count=len(tokens)), *map(_line, tokens[:MAX_LISTED])]
    more = len(tokens) - MAX_LISTED
    return "\n".join([*lines, *([strings.API_ACCESS_MORE.format(count=more)] if more > 0 else [])])


def _line(token: TokenInfo) -> str:
    ends = strings.API_ACCESS_ENDS.format(date=_date(token.expires_at)) if token.expires_at else ""
    used = (
        strings.API_ACCESS_USED.format(date=_date(token.last_used_at)) if token.last_used_at else ""
    )
    return strings.API_ACCESS_LINE.format(
        date=_date(token.created_at),
        ends=ends or strings.API_ACCESS_ENDLESS,
        used=used or strings.API_ACCESS_UNUSED,
    )


def _date(moment: datetime) -> str:
    """In the reader's own time zone."""
    fallback = moment.strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{{date_num}} {{time}}|{fallback}>"
