"""Slack's own markup as people see it: every kind of mark."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.markdown.mrkdwn import escape_markdown, readable
from handlers.markdown.plain_text import mrkdwn_escape
from tests.handlers.seen_text import MARKS


@pytest.mark.parametrize(("raw", "seen"), MARKS)
def test_a_mark_reads_as_a_person_sees_it(raw: str, seen: str) -> None:
    assert readable(raw, "U0BOT") == seen


@given(st.text())
def test_escaped_text_reads_as_it_was(text: str) -> None:
    assert readable(mrkdwn_escape(text)) == text.strip()


@pytest.mark.parametrize(
    ("markdown", "seen"),
    [
        ("a List<String> & more", "a List<String> & more"),
        ("<!DOCTYPE html>", "<!DOCTYPE html>"),
        ("for <@U0BOB> in <#C0X|room>", "for @U0BOB in #room"),
        ("see <https://example.com/a|the page>", "see the page (https://example.com/a)"),
        ("written &lt; twice", "written &lt; twice"),
    ],
)
def test_in_markdown_only_slacks_own_marks_mean_something(markdown: str, seen: str) -> None:
    assert readable(escape_markdown(markdown)) == seen
