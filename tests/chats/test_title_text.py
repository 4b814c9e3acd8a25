"""Titles are cleaned of everything that models write around them, and limited to two to eight words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chats.titles import MAX_CHARACTERS, clean_title


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Sky and Colour", "Sky and Colour"),
        ('"Sky and Colour."', "Sky and Colour"),
        ("Title: Sky and Colour", "Sky and Colour"),
        ("**Title:** “Sky and Colour”\n\nI hope you like it!", "Sky and Colour"),
        ("# title - `Sky and Colour`", "Sky and Colour"),
        ("\n\n  Sky   and\tColour  ", "Sky and Colour"),
        (
            "one two three four five six seven eight nine ten",
            "one two three four five six seven eight",
        ),
        ("Ask <@U0ALICE> and <!channel|everybody>", "Ask U0ALICE and everybody"),
        ("w" * 60 + " " + "v" * 60, "w" * 60 + " " + "v" * 18 + "…"),
        ("空が青い理由", "空が青い理由"),
        ("ทำไมท้องฟ้าเป็นสีฟ้า", "ทำไมท้องฟ้าเป็นสีฟ้า"),
    ],
)
def test_title_is_cleaned(said: str, title: str) -> None:
    assert clean_title(said) == title


@pytest.mark.parametrize(
    "said", ["", "   \n", "Sky", '"Sky."', "Title:", "Title: Sky", "***", "Привет"]
)
def test_single_word_is_no_title(said: str) -> None:
    assert clean_title(said) == ""


@given(st.text())
def test_any_reply_becomes_a_title_within_the_limits(said: str) -> None:
    title = clean_title(said)
    assert len(title) <= MAX_CHARACTERS
    assert len(title.split()) <= 8
    assert "\n" not in title
    assert title == title.strip()
