"""The text of an API message in Slack: escaped, and cut if it is too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handlers.markdown.plain_text import mrkdwn_escape
from handlers.threads.api_echo import escape_and_cut


def test_a_short_text_is_only_escaped() -> None:
    assert escape_and_cut("a < b & <!channel>", 100) == "a &lt; b &amp; &lt;!channel&gt;"


@given(st.text(alphabet="ab <&>", max_size=300))
def test_an_escaped_text_fits_and_is_the_beginning_of_the_original(text: str) -> None:
    cut = escape_and_cut(text, 100)

    assert len(cut) <= 100
    assert mrkdwn_escape(text).startswith(cut.removesuffix("…"))
    assert cut.endswith("…") or cut == mrkdwn_escape(text)
