"""At every moment the visible part of an answer is well-formed, and prose is never held back."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from handlers.markdown.grammar import byte_length, closing_fence
from handlers.markdown.preview import renderable, unstable_suffix
from tests.handlers.markdown.guarded import guarded
from tests.handlers.markdown.test_mention_guard import hostile_texts, unescaped_outside_code
from tests.handlers.markdown.test_splitter import TEXTS

ANSWER = """\
Here is **how** you *do* it, with `code` and a [link](http://example.com/a_(b) "t"):

1. First
   ```python
   print("<!here>")
   ```
2. **Second**, ~~not~~ __third__ ***both*** snake_case_name 2 * 3 * 4

| Name | Value |
|------|------:|
| a | `x` |
| b | **y** |

## End
> quoted text
- [ ] task

```js
let a = `b`;
```
Bye.
"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("Some words", "Some words"),
        ("Some words ", "Some words "),
        ("one\n\ntwo", "one\n\ntwo"),
        ("so **bo", "so **bo**"),
        ("so **bold ", "so **bold**"),
        ("so **bold*", "so **bold**"),
        ("so **bold**", "so **bold**"),
        ("so **", "so "),
        ("so *it and **bo", "so *it and **bo***"),
        ("***bo", "***bo***"),
        ("***both** an", "***both** an***"),
        ("~~gone", "~~gone~~"),
        ("~~gone~", "~~gone~~"),
        ("**a\\", "**a**"),
        ("so !", "so "),
        ("_it", "_it_"),
        ("snake_case", "snake_case"),
        ("2 * 3", "2 * 3"),
        ("run `cod", "run `cod`"),
        ("run ``a `b", "run ``a `b``"),
        ("run `", "run "),
        ("run `a` now", "run `a` now"),
        ("**run `cod", "**run `cod`**"),
        ("see [lin", "see "),
        ("see [link](htt", "see "),
        ("see ![pic](http://x/a", "see "),
        ('see [a](http://x "ti', "see "),
        ("x[0](so it goes on", "x[0](so it goes on"),
        ("see [link](http://x) ok", "see [link](http://x) ok"),
        ("see <https://exam", "see "),
        ("a [note that goes on " + "and on " * 20, "a [note that goes on " + "and on " * 20),
        ("text\n-", "text\n"),
        ("text\n- ", "text\n"),
        ("text\n==", "text\n"),
        ("text\n1.", "text\n"),
        ("text\n##", "text\n"),
        ("text\n- item", "text\n- item"),
        ("text\n``", "text\n"),
        ("text\n```", "text\n"),
        ("text\n```py", "text\n"),
        ("text\n```py\n", "text\n"),
        ("text\n```py\nx", "text\n```py\nx\n```"),
        ("text\n```py\nx\n", "text\n```py\nx\n```"),
        ("text\n```py\nx\n``", "text\n```py\nx\n```"),
        ("text\n```py\nx\n```", "text\n```py\nx\n```"),
        ("````\n```\nx", "````\n```\nx\n````"),
        ("1. a\n   ```\n   x", "1. a\n   ```\n   x\n   ```"),
        ("~~~\nx", "~~~\nx\n~~~"),
        ("t\n| a", "t\n"),
        ("t\n| a | b |\n", "t\n"),
        ("t\n| a | b |\n|-", "t\n"),
        ("t\n| a | b |\n|--|--|\n", "t\n"),
        ("t\n| a | b |\n|--|--|\n| 1", "t\n"),
        ("t\n| a | b |\n|--|--|\n| 1 | 2 |\n", "t\n| a | b |\n|--|--|\n| 1 | 2 |\n"),
        ("t\n| a | b |\n|--|--|\n| 1 | 2 |\n| 3 | **4", "t\n| a | b |\n|--|--|\n| 1 | 2 |\n"),
        ("t\n| a | b |\n|--|--|\n| 1 | 2 |\n\nend", "t\n| a | b |\n|--|--|\n| 1 | 2 |\n\nend"),
        ("a | b\n--|", ""),
        ("a | b in prose", "a | b in prose"),
        ("a | b in prose\nand more", "a | b in prose\nand more"),
        ("| no table\nbut text", "| no table\nbut text"),
    ],
)
def test_a_preview_closes_open_markup_and_omits_incomplete_markup(text: str, shown: str) -> None:
    assert renderable(text) == shown


@pytest.mark.parametrize(
    ("text", "waiting"),
    [
        ("", ""),
        ("Some words and **bo", ""),
        ("see [link](htt", ""),
        ("run `co", ""),
        ("a | b in prose", ""),
        ("text\n``", "``"),
        ("text\n```", "```"),
        ("text\n  ```python", "  ```python"),
        ("text\n```python\n", ""),
        ("```python\nx = 1", ""),
        ("```python\nx = 1\n``", "``"),
        ("```python\nx = 1\n```", ""),
        ("text\n--", "--"),
        ("t\n| a | b", "| a | b"),
        ("t\n| a | b |\n", "| a | b |\n"),
        ("t\n| a | b |\n|--|-", "| a | b |\n|--|-"),
        ("t\n| a | b |\n|--|--|\n", ""),
        ("t\n| a | b |\n|--|--|\n| 1 | ", "| 1 | "),
        ("t\n| a | b |\n|--|--|\n| 1 | 2 |\n", ""),
        ("t\n| a | b |\nprose", ""),
    ],
)
def test_only_incomplete_markup_waits_in_a_stream(text: str, waiting: str) -> None:
    assert text[len(text) - unstable_suffix(text) :] == waiting


def visible(markdown: str) -> str:
    """What a reader sees, without white space."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return re.sub(r"<[^>]*>|\s", "", parser.render(markdown))


def test_every_preview_is_a_prefix_of_the_rendered_answer() -> None:
    final = visible(ANSWER)

    for end in range(len(ANSWER) + 1):
        assert final.startswith(visible(renderable(ANSWER[:end]))), ANSWER[:end]


def test_every_preview_shows_nearly_all_known_text() -> None:
    for end in range(len(ANSWER) + 1):
        text = ANSWER[:end]
        if "|" not in text[text.rfind("\n", 0, end - 1) :] and "|" not in text[-60:]:
            assert len(renderable(text)) >= len(text) - 50


def test_the_end_of_an_answer_is_shown_whole() -> None:
    assert renderable(ANSWER) == ANSWER
    assert unstable_suffix(ANSWER) == 0


@given(
    st.lists(
        st.sampled_from(["word", "longer", "words,", "end.", "(so)", "it's", "漢字", "5"]),
        min_size=2,
        max_size=60,
    )
)
def test_prose_is_shown_to_its_last_word(words: list[str]) -> None:
    text = "So " + " ".join(words)

    assert renderable(text) == text
    assert unstable_suffix(text) == 0


@given(TEXTS)
@example("**a\n```\n``")
def test_a_preview_closes_fences_and_omits_at_most_a_line_or_a_table_header(
    text: str,
) -> None:
    shown = renderable(text)

    assert not closing_fence(shown)
    lines = text.split("\n")
    head = "\n".join(lines[:-3])
    assert shown.startswith(head)


@given(st.one_of(TEXTS, hostile_texts()))
def test_text_held_back_in_a_stream_arrives_later(text: str) -> None:
    sent = 0
    for end in range(len(text) + 1):
        held = unstable_suffix(text[:end])
        assert 0 <= held <= end
        sent = max(sent, end - held)
    assert len(text) - sent <= len("\n".join(text.split("\n")[-3:]))


@given(hostile_texts(), st.integers(0, 200))
def test_no_preview_contains_a_ping(text: str, end: int) -> None:
    assert not unescaped_outside_code(renderable(guarded(text[:end])))


def test_byte_length() -> None:
    assert [byte_length(text) for text in ("", "abc", "é€", "👩", "\ud83d")] == [0, 3, 5, 4, 3]


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("text", ""),
        ("```\nx", "\n```"),
        ("```\nx\n", "```"),
        ("```\nx\n```", ""),
        ("````\n```\n", "````"),
        ("~~~\n```\n", "~~~"),
        ("```a`b\n", ""),
        ("- ```py\n  x\n", "  ```"),
        ("> ```\n> x", ""),
        ("text ```\nx", ""),
        ("```\n~~~\n", "```"),
    ],
)
def test_an_open_fence_is_closed(text: str, closing: str) -> None:
    assert closing_fence(text) == closing
