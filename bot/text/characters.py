"""Joins characters that a server has split across chunks: halves of a surrogate pair, or bytes of UTF-8.

An unmatched half becomes U+FFFD, and so does NUL, so the text can be stored and sent anywhere (database, Slack, API).
"""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ESCAPED_BYTES = re.compile("[\udc80-\udcff]+")
"""What `surrogateescape` makes of bytes that are not UTF-8."""
_HIGH_AT_END = re.compile("[\ud800-\udbff]$")
_BYTES_AT_END = re.compile("[\udc80-\udcff]{1,3}$")


class CharacterJoiner:
    """Joins the pieces of one text: `feed` each, then `flush` once."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The text with whole characters only. An incomplete character at the end is held back until the next call."""
        text = text.replace("\x00", "\ufffd")
        if not self._held and (text.isascii() or not _SURROGATE.search(text)):
            return text
        text = self._held + text
        end = len(text) - _begun(text)
        self._held = text[end:]
        return _joined(text[:end])

    def flush(self) -> str:
        """The rest that was held back, at the end of the text."""
        rest, self._held = _joined(self._held), ""
        return rest


def whole_characters(text: str) -> str:
    """Repairs a complete text so that it contains whole characters only."""
    joiner = CharacterJoiner()
    return joiner.feed(text) + joiner.flush()


def _begun(text: str) -> int:
    """How many units at the end belong to an incomplete character."""
    if _HIGH_AT_END.search(text):
        return 1
    escaped = _BYTES_AT_END.search(text)
    tail = escaped[0].encode("utf-8", "surrogateescape") if escaped else b""
    for length in range(1, len(tail) + 1):
        first = tail[-length]
        if first >= 0xC0:  # the first byte says how many there are
            needed = 2 + (first >= 0xE0) + (first >= 0xF0)
            return length if length < needed else 0
    return 0


def _joined(text: str) -> str:
    text = _PAIR.sub(lambda pair: _from_pair(pair[0]), text)
    text = _ESCAPED_BYTES.sub(lambda escaped: _from_bytes(escaped[0]), text)
    return _SURROGATE.sub("\ufffd", text)


def _from_pair(pair: str) -> str:
    return pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _from_bytes(escaped: str) -> str:
    return escaped.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
