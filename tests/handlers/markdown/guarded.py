"""A complete text as the mention guard leaves it."""

from __future__ import annotations

from handlers.markdown.mention_guard import MentionGuard


def guarded(text: str) -> str:
    guard = MentionGuard()
    return guard.feed(text) + guard.finish()
