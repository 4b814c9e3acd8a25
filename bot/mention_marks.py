"""The unseen marks that tell ids of Slack's own mentions in stored text from ids that a person has typed."""

from __future__ import annotations

import re

MENTION_MARK = "\u2063"
"""Stands, unseen, between `@` or `#` and an id that was one of Slack's marks: not what a person has typed as an id."""

_MARKED_ID = re.compile(rf"(?<=[@#]){MENTION_MARK}(?=[UWCG][A-Z0-9])")


def unmarked(text: str) -> str:
    """The text as it is read, without the MENTION_MARK."""
    return _MARKED_ID.sub("", text)


def marked_text(text: str) -> str | None:
    """What a Message keeps beside its `unmarked` text; None for a text without marks."""
    return text if _MARKED_ID.search(text) else None
