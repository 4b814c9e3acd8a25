"""A model's Markdown, made ready for Slack: no pings, cut where it must be, whole at every visible moment.

Order of use for an answer: `MentionGuard` on what arrives, then `unstable_suffix` or `renderable` for what can be
shown, `split` for what no longer fits. All of it is pure, and the cost of a step grows with the message it is for,
never with the whole answer.
"""

from __future__ import annotations

import re

_LABELLED = re.compile(r"<\\*[!@#][^<>|]*\|([^<>]*)>")
_BARE = re.compile(r"<\\*[!@#]([^<>|]*)>")
_OPENING = re.compile(r"<+(?=\\*[!@#])")
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def plain(text: str, limit: int) -> str:
    """One line of at most `limit` characters for titles, plain_text fields and fallbacks of messages.

    Slack's control sequences give way to their label or name, since a fallback is read by Slack as well; what does not
    fit is cut at a word, with `…` at the end.
    """
    text = " ".join(_INVISIBLE.sub("", text).split())
    text = _BARE.sub(r"\1", _LABELLED.sub(r"\1", text))
    text = _OPENING.sub("", text)
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    space = kept.rfind(" ")
    if text[limit - 1] != " " and space >= limit // 2:
        kept = kept[:space]
    return kept.rstrip(" ,;:.–—-") + "…"


def mrkdwn_escape(text: str) -> str:
    """Text as it is to be read, for mrkdwn: the three characters that Slack gives a meaning to are escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
