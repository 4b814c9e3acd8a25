"""Invisible marks in stored text that tell ids from Slack's own mentions apart from ids that a person typed."""

from __future__ import annotations

import re

MENTION_MARK = "\u2063"
"""Stands, invisibly, between `@` or `#` and an id that came from one of Slack's mentions, not from a person's typing.
"""

_MARKED_ID = re.compile(rf"(?<=[@#]){MENTION_MARK}(?=[UWCG][A-Z0-9])")


def unmarked(text: str) -> str:
    """The text as people read it, without the MENTION_MARK."""
    return _MARKED_ID.sub("", text)


def marked_text(text: str) -> str | None:
    """What a Message stores beside its `unmarked` text; None for a text without marks."""
    return text if _MARKED_ID.search(text) else None
