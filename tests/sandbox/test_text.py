"""What a person types becomes Slack's raw text."""

import pytest

from bot.sandbox.text import mentioned_users, raw_text, rich_text

NAMES = {"@bobbin": "<@U0BOBBIN>", "@ann.lee": "<@U0ANN>", "#general": "<#C0GENERAL|general>"}


@pytest.mark.parametrize(
    ("typed", "raw"),
    [
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("@bobbin hi", "<@U0BOBBIN> hi"),
        ("hi @bobbin.", "hi <@U0BOBBIN>."),
        ("@ann.lee, @nobody", "<@U0ANN>, @nobody"),
        ("<@U0BOBBIN|bobbin> in #general", "<@U0BOBBIN|bobbin> in <#C0GENERAL|general>"),
        ("mail me@bobbin.example", "mail me@bobbin.example"),
        ("see https://a.example/?a=1&b=2.", "see <https://a.example/?a=1&amp;b=2>."),
        (
            "`@bobbin <b>` and ```https://a.example```",
            "`@bobbin &lt;b&gt;` and ```https://a.example```",
        ),
        ("<script>", "&lt;script&gt;"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_typed_text_becomes_raw_text(typed: str, raw: str) -> None:
    assert raw_text(typed, NAMES.get) == raw


def test_mentions_are_found_and_become_rich_text() -> None:
    raw = "<@U0BOBBIN> is 1 &lt; 2, <!here>?"
    assert mentioned_users(raw) == ["U0BOBBIN"]
    assert rich_text(raw, "b1")["elements"][0]["elements"] == [
        {"type": "user", "user_id": "U0BOBBIN"},
        {"type": "text", "text": " is 1 < 2, "},
        {"type": "broadcast", "range": "here"},
        {"type": "text", "text": "?"},
    ]
