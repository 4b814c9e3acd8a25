"""Long answers continue in the next message at suitable points, and no text is lost or repeated."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.markdown.grammar import byte_length, closing_fence
from handlers.markdown.splitter import MIN_LIMIT_BYTES, Cut, split
from tests.handlers.markdown.guarded import guarded
from tests.handlers.markdown.test_mention_guard import hostile_texts, unescaped_outside_code

WORDS = "The quick brown fox jumps over the lazy dog and then rests"


def split_into_messages(text: str, limit: int) -> list[Cut]:
    cuts = [split(text, limit)]
    while cuts[-1].tail:
        assert len(cuts) < 500
        cuts.append(split(cuts[-1].tail, limit))
    return cuts


def rejoined(cuts: list[Cut]) -> str:
    """The original text, without the inserted closers and openers."""
    parts, opener = [], ""
    for piece in cuts:
        assert piece.head.startswith(opener)
        assert piece.head.endswith(piece.closer)
        parts.append(piece.head[len(opener) : len(piece.head) - len(piece.closer)])
        opener = piece.opener
    return "".join(parts)


def test_a_text_that_fits_is_not_cut() -> None:
    assert split("short", MIN_LIMIT_BYTES) == Cut("short", "", 5)
    assert split("x" * 256, MIN_LIMIT_BYTES).tail == ""
    assert split("x" * 257, MIN_LIMIT_BYTES).tail == "x"


def test_the_closing_of_an_open_fence_counts_against_the_limit() -> None:
    text = "```py\n" + "a = 1\n" * 41
    assert byte_length(text) < MIN_LIMIT_BYTES < byte_length(text + closing_fence(text)) + 3

    assert split(text + "bb\n", MIN_LIMIT_BYTES).head.endswith("\n```")


def test_the_end_of_a_paragraph_is_the_best_cut_point() -> None:
    first = f"{WORDS}. " * 3
    text = f"{first}\n{WORDS[:20]}\n\n{WORDS}. {WORDS}."

    assert split(text, MIN_LIMIT_BYTES).tail == f"{WORDS}. {WORDS}."


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("w" * 200 + "\n" + "v " * 50, "v " * 50),
        ("w" * 200 + "\n\n" + "v " * 50, "v " * 50),
        ("w" * 200 + ". " + "v " * 50, "v " * 50),
        ("字" * 60 + "。" + "句" * 60, "句" * 60),
        ("w" * 200 + " " + "v" * 100, "v" * 100),
        ("w" * 300, "w" * 44),
        ("w" * 100 + "\n\n" + "v" * 300, "v" * 146),
        ("- " + "w" * 200 + "\n- " + "v " * 50, "- " + "v " * 50),
        ("w" * 200 + "\n\n## Head\n" + "v " * 50, "## Head\n" + "v " * 50),
        ("w" * 200 + "\n```py\n" + "v " * 50, "```py\n" + "v " * 50),
        ("w " * 90 + "[" + "v " * 40 + "](http://x) end", "[" + "v " * 40 + "](http://x) end"),
        ("w " * 90 + "`" + "v " * 40 + "` end", "`" + "v " * 40 + "` end"),
        ("w" * 253 + "&lt;@U1>" + "v" * 9, "&lt;@U1>" + "v" * 9),
        ("w" * 120 + " 5 " + "- 3 = 2 " * 20, "3 = 2 " + "- 3 = 2 " * 3),
        ("w" * 250 + "👩\u200d👩\u200d👧" + "v", "👩\u200d👩\u200d👧v"),
        ("w" * 254 + "e\u0301" + "v", "e\u0301v"),
        ("w" * 250 + "🇩🇪" + "v", "🇩🇪v"),
    ],
)
def test_the_best_cut_point_near_the_limit_is_used(text: str, tail: str) -> None:
    assert split(text, MIN_LIMIT_BYTES).tail == tail


def test_a_fence_is_closed_and_reopened_with_its_language() -> None:
    text = "Look:\n\n```python title\n" + "x = '<!here>'\n" * 40 + "```\nDone."

    cuts = split_into_messages(text, MIN_LIMIT_BYTES)

    assert rejoined(cuts) == text
    assert [piece.closer for piece in cuts] == ["```", "```", ""]
    for piece in cuts[1:]:
        assert piece.head.startswith("```python title\nx = '<!here>'\n")
    assert not [piece.head for piece in cuts if guarded(piece.head) != piece.head]


def test_a_fence_in_a_nested_list_stays_a_fence() -> None:
    text = "1. a\n   - b\n     ```html\n" + "     <!DOCTYPE html>\n" * 30 + "     ```\n     end"

    cuts = split_into_messages(text, MIN_LIMIT_BYTES)

    assert rejoined(cuts) == text
    assert cuts[1].head.startswith("-    ```html\n     <!DOCTYPE")
    assert all(guarded(piece.head) == piece.head for piece in cuts)


def test_no_cut_leaves_an_empty_fence() -> None:
    text = "w" * 240 + "\n```py\n" + "x = 1\n" * 20 + "```"
    assert split(text, MIN_LIMIT_BYTES).at == 241

    text = "```py\n" + "x = 1\n" * 40 + "```\n" + "after " * 20
    for limit in range(MIN_LIMIT_BYTES, 275):
        piece = split(text, limit)
        assert "```py\n```" not in piece.head + piece.tail


def test_a_table_is_cut_between_rows_and_its_header_repeated() -> None:
    header = "| a | b |\n|---|:-:|\n"
    text = (
        "Intro\n\n" + header + "".join(f"| row {n} | <value {n}> |\n" for n in range(40)) + "\nEnd."
    )

    cuts = split_into_messages(text, MIN_LIMIT_BYTES)

    assert rejoined(cuts) == text
    assert all(piece.head.startswith(header) for piece in cuts[1:])
    for piece in cuts:
        assert all(re.fullmatch(r"\|.*\||Intro|End\.|", line) for line in piece.head.split("\n"))


def test_a_table_row_longer_than_the_limit_is_split() -> None:
    text = "| a | b |\n|---|---|\n| " + "word " * 200 + " | x |\n"

    assert rejoined(split_into_messages(text, MIN_LIMIT_BYTES)) == text


def test_code_longer_than_a_message_stays_code() -> None:
    text = "see `" + "<!here> " * 60 + "` end"

    cuts = split_into_messages(text, MIN_LIMIT_BYTES)

    assert rejoined(cuts) == text
    assert all(guarded(piece.head) == piece.head for piece in cuts)


def test_visible_text_stays_in_the_head() -> None:
    text = f"{WORDS}.\n\n" * 3 + WORDS * 4

    for sent in range(0, 250, 7):
        piece = split(text, MIN_LIMIT_BYTES, at_least=sent)
        assert piece.at >= sent
        assert piece.head.startswith(text[:sent])
    assert split("x" * 400, MIN_LIMIT_BYTES, at_least=300).head == "x" * 300
    assert split("```\nx = 1\ny", 5, at_least=11) == Cut(
        "```\nx = 1\ny\n```", "```\n", 11, "\n```", "```\n"
    )


def test_numbered_lists_continue_their_numbers() -> None:
    text = "".join(f"{n}. {WORDS}\n" for n in range(1, 9))

    for piece in split_into_messages(text, MIN_LIMIT_BYTES):
        assert re.match(r"\d\. The", piece.head)
        assert piece.head.endswith("rests\n")


LINES = st.one_of(
    st.sampled_from(
        [
            "",
            "",
            "```",
            "```py",
            "````",
            "~~~",
            "   ```",
            "- ```js",
            "     ```",
            "  ```",
            "> quote",
            "---",
        ]
    ),
    st.sampled_from(
        [
            "| a | b |",
            "|---|---|",
            "| `c | d` | <x> |",
            "a | b",
            "--|--",
            "# Head",
            "1. one",
            "   - two",
        ]
    ),
    st.sampled_from(
        [
            "a [link](http://x/y_z) and `code <!here>` in prose. And **more** of it! ",
            "漢字かな。" * 9,
        ]
    ),
    st.sampled_from(
        [
            "👩\u200d👧 e\u0301 🇩🇪🇫🇷 &lt;!here> ok\r",
            "x" * 300,
            "`" * 20 + "a`b",
            "``a ` b``",
            "`un closed",
        ]
    ),
    st.text("ab `<!@#&;|>.*[]()-~\\\t漢é👧\u0301\u200d\ud83d", max_size=90),
    st.text("abcdef ghi.,", min_size=20, max_size=120),
)
TEXTS = st.lists(LINES, min_size=1, max_size=40).map("\n".join)


@given(TEXTS, st.integers(MIN_LIMIT_BYTES, 900))
def test_nothing_is_lost_and_every_head_fits(text: str, limit: int) -> None:
    cuts = split_into_messages(text, limit)

    assert rejoined(cuts) == text
    for piece in cuts:
        assert byte_length(piece.head) <= limit
        assert not (piece.tail and closing_fence(piece.head))


@given(TEXTS, st.integers(MIN_LIMIT_BYTES, 600), st.integers(0, 600))
def test_cuts_respect_the_text_already_sent(text: str, limit: int, sent: int) -> None:
    sent = min(sent, len(text))
    piece = split(text, limit, at_least=sent)

    assert piece.at >= sent
    assert piece.head == text[: piece.at] + piece.closer
    assert not piece.tail or piece.tail == piece.opener + text[piece.at :]
    room = byte_length(text[:sent]) + 64 <= limit
    assert not room or byte_length(piece.head) <= limit


@given(
    st.lists(st.one_of(hostile_texts(), LINES), min_size=3, max_size=25),
    st.integers(MIN_LIMIT_BYTES, 500),
)
def test_no_cut_creates_a_ping(texts: list[str], limit: int) -> None:
    for piece in split_into_messages(guarded("\n".join(texts)), limit):
        assert not unescaped_outside_code(piece.head)
