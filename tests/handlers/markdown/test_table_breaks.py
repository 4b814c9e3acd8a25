"""`<br>` in a table is a line break: each line of a cell is in its own row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.markdown.table_breaks import TableBreaks
from tests.handlers.markdown.guarded import guarded
from tests.handlers.markdown.test_mention_guard import hostile_texts, unescaped_outside_code

HEAD = "| a | b |\n|---|---|\n"


def shown(text: str, deltas: int = 10_000) -> str:
    breaks = TableBreaks()
    pieces = [text[at : at + deltas] for at in range(0, len(text), deltas)]
    return "".join(map(breaks.feed, pieces)) + breaks.finish()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + "| x<br>y | z |\n", HEAD + "| x | z |\n| y |  |\n"),
        (HEAD + "| x<BR/>y<br />z | 1<br>2 |", HEAD + "| x | 1 |\n| y | 2 |\n| z |  |"),
        (HEAD + "| **x**<br>`y` | z |\n", HEAD + "| **x** | z |\n| `y` |  |\n"),
        (HEAD + "| a_b<br>[t](u) | z |\n", HEAD + "| a_b | z |\n| [t](u) |  |\n"),
        (HEAD + "| **x<br>y** | z |\n", HEAD + "| **x y** | z |\n"),
        (HEAD + "|  | x<br>y |\n", HEAD + "|  | x |\n|  | y |\n"),
        (HEAD + "| x \\| y<br>w | z |\n", HEAD + "| x \\| y | z |\n| w |  |\n"),
        ("a | b\n--|--\nx<br>y | z\n", "a | b\n--|--\n| x | z |\n| y |  |\n"),
        ("  | a |\n  |---|\n  | x<br>y |\n", "  | a |\n  |---|\n  | x |\n  | y |\n"),
        ("| a<br>b | c |\n|---|---|\n| x |", "| a b | c |\n|---|---|\n| x |"),
        ("> | a |\n> |---|\n> | x<br>y |\n", "> | a |\n> |---|\n> | x |\n> | y |\n"),
        (">> a | b\n>> -|-\n>> x | z</br>y", ">> a | b\n>> -|-\n>> | x | z |\n>> |  | y |"),
        ("> | a |\n> |---|\n| x<br>y |\n", "> | a |\n> |---|\n| x |\n| y |\n"),
    ],
)
def test_a_break_in_a_table_is_a_line_break(text: str, expected: str) -> None:
    assert shown(text) == expected
    assert shown(text, deltas=1) == expected


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "| `x<br>y` | z |\n",
        f"```\n{HEAD}| x<br>y | z |\n```\n",
        f"~~~\n{HEAD}| x<br>y | z |\n~~~",
        HEAD + "| x | y |\n\nThe tag <br> breaks | lines.\n",
        "The tag <br> breaks a line.",
        "    | a<br>b |\n",
    ],
)
def test_code_and_prose_keep_it(text: str) -> None:
    assert shown(text) == text
    assert shown(text, deltas=1) == text


def test_prose_and_code_are_not_held_back() -> None:
    breaks = TableBreaks()
    assert breaks.feed("Some words") == "Some words"
    assert breaks.feed(" with | pipes\n```\n| x") == " with | pipes\n```\n| x"


def test_marks_of_many_quotations_are_read_once() -> None:
    """If the blanks between them had two readings, each mark would double the time."""
    deep = "> " * 3_000 + "deep <br>\n"
    assert shown(deep) == deep
    assert shown(deep, deltas=1) == deep


@given(
    hostile_texts(), st.lists(st.sampled_from(["<br>", "<br>`", "`<br>", "\n|", HEAD]), max_size=6)
)
def test_dividing_rows_makes_no_sequence_loose(text: str, more: list[str]) -> None:
    third = max(1, len(text) // (len(more) + 1))
    mixed = "".join(
        text[at * third : (at + 1) * third] + each for at, each in enumerate([*more, ""])
    )
    whole = HEAD + mixed + text[(len(more) + 1) * third :]
    assert not unescaped_outside_code(shown(guarded(whole)))
