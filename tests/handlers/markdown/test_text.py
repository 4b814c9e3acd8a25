"""Titles, labels and fallback texts are one line without pings."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.markdown.plain_text import mrkdwn_escape, plain


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("A title", 20, "A title"),
        ("  A\n\ttitle  ", 20, "A title"),
        ("hi <!channel> and <@U1|bob> in <#C1|general>", 60, "hi channel and bob in general"),
        ("<!subteam^S1|@team> <https://x.y|z> a < b", 60, "@team <https://x.y|z> a < b"),
        ("<<!x|y>!here> <!chan", 60, "<y!here> !chan"),
        ("<\x00!channel>", 60, "channel"),
        ("<\\@U1>", 60, "U1"),
        ("one two three four", 12, "one two…"),
        ("one two three four", 13, "one two…"),
        ("one two three four", 14, "one two three…"),
        ("one two, three four", 10, "one two…"),
        ("abcdefghijkl", 6, "abcde…"),
        ("a abcdefghijkl", 8, "a abcde…"),
        ("\u202eabc\ufeff", 9, "abc"),
        ("👩\u200d👧 ok", 9, "👩\u200d👧 ok"),
    ],
)
def test_plain(text: str, limit: int, expected: str) -> None:
    assert plain(text, limit) == expected


@given(st.text("<!@#|>\\\x00 \n\rab\u2028", max_size=60), st.integers(2, 60))
def test_plain_is_one_short_line_without_control_sequences(text: str, limit: int) -> None:
    shown = plain(text, limit)

    assert len(shown) <= limit
    assert not re.search(r"<\\*[!@#]", shown)
    assert len(shown.splitlines()) <= 1


def test_mrkdwn_escape() -> None:
    assert mrkdwn_escape("a & <!here> &lt; *b*") == "a &amp; &lt;!here&gt; &amp;lt; *b*"
