"""Plain text and mrkdwn for Slack fields that do not contain Markdown."""

from __future__ import annotations

import re

_LABELLED_SEQUENCE = re.compile(r"<\\*[!@#][^<>|]*\|([^<>]*)>")
_UNLABELLED_SEQUENCE = re.compile(r"<\\*[!@#]([^<>|]*)>")
_SEQUENCE_START = re.compile(r"<+(?=\\*[!@#])")
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def plain(text: str, limit: int) -> str:
    """One line of at most `limit` characters, for titles, plain_text fields and fallback texts of messages.

    Slack's control sequences are replaced by their label or name, since Slack interprets fallback texts too. Text that
    does not fit is cut at a word and ends with `…`.
    """
    text = " ".join(_INVISIBLE.sub("", text).split())
    text = _UNLABELLED_SEQUENCE.sub(r"\1", _LABELLED_SEQUENCE.sub(r"\1", text))
    text = _SEQUENCE_START.sub("", text)
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    space = kept.rfind(" ")
    if text[limit - 1] != " " and space >= limit // 2:
        kept = kept[:space]
    return kept.rstrip(" ,;:.–—-") + "…"


def mrkdwn_escape(text: str) -> str:
    """Escapes the three characters that have a meaning in mrkdwn, so that the text is shown literally."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
