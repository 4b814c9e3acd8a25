"""No text from a model can notify people, however it is divided into deltas; code is unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from handlers.markdown.mention_guard import MentionGuard
from tests.handlers.markdown.guarded import guarded

SEQUENCE = r"\\*(?:!(?:channel|here|everyone|subteam\^|date\^)|@[UW]|#C)"


def fed_in_deltas(text: str, cuts: list[int]) -> list[str]:
    guard = MentionGuard()
    points = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    given_out = [guard.feed(text[a:b]) for a, b in pairwise(points)]
    return [*given_out, guard.finish()]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<!channel> hello", "&lt;!channel> hello"),
        ("<!HERE>", "&lt;!HERE>"),
        ("<!everyone|all>", "&lt;!everyone|all>"),
        ("<!subteam^S012|@team>", "&lt;!subteam^S012|@team>"),
        ("<!date^1^{date}|x>", "&lt;!date^1^{date}|x>"),
        ("hi <@U1> and <@w2|bob>", "hi &lt;@U1> and &lt;@w2|bob>"),
        ("in <#C1|general>", "in &lt;#C1|general>"),
        ("<https://x|<!channel>>", "<https://x|&lt;!channel>>"),
        ("[a](<!here>)", "[a](&lt;!here>)"),
        ("[<@U1>](http://x)", "[&lt;@U1>](http://x)"),
        ("<\\!channel>", "&lt;\\!channel>"),
        ("<<!channel>>", "<&lt;!channel>>"),
        ("&lt;!channel&gt;", "&lt;!channel&gt;"),
        ("a < b, <b>, 1<2, <https://x.y>", "a < b, <b>, 1<2, <https://x.y>"),
        ("> <!here>\n- <!here>\n# <@U1>", "> &lt;!here>\n- &lt;!here>\n# &lt;@U1>"),
        ("    <!channel>", "    &lt;!channel>"),
        ("~~~\n<!channel>\n~~~", "~~~\n&lt;!channel>\n~~~"),
        ("`<!channel>", "`&lt;!channel>"),
        ("`<!channel>\n`", "`&lt;!channel>\n`"),
        ("``<!channel>`", "``&lt;!channel>`"),
        ("\\`<!channel>`", "\\`&lt;!channel>`"),
        ("```<!channel>\nx\n```", "```&lt;!channel>\nx\n```"),
        ("```\nx\n```\n<!channel>", "```\nx\n```\n&lt;!channel>"),
        ("````\n```\n````\n<!here>", "````\n```\n````\n&lt;!here>"),
        ("| `a | <!here> | b` |\n|--|--|--|\n", "| `a | &lt;!here> | b` |\n|--|--|--|\n"),
        ("- a\n  ```\n<!here>\n  ```", "- a\n  ```\n&lt;!here>\n  ```"),
        ("[a](`b) <!here>`", "[a](`b) &lt;!here>`"),
        ("<https://x/`y> <!here>`", "<https://x/`y> &lt;!here>`"),
        ("```\r<!here>\n```", "```\r&lt;!here>\n```"),
        ("text\n    ```\n<!here>\n    ```", "text\n    ```\n&lt;!here>\n    ```"),
        ("~~~\n```\n~~~\n<!here>\n```\n<!here>", "~~~\n```\n~~~\n&lt;!here>\n```\n&lt;!here>"),
        ("~~~```~~~ <!here>```", "~~~```~~~ &lt;!here>```"),
        ("1. ~~~` <!here>`", "1. ~~~` &lt;!here>`"),
        ("```|\n---\n<!here>", "```|\n---\n&lt;!here>"),
        ("````\n" + "`" * 20 + "\n<!here>", "````\n" + "`" * 20 + "\n&lt;!here>"),
        ("> ```\n```\n<!here>", "> ```\n```\n&lt;!here>"),
    ],
)
def test_control_sequences_outside_of_code_are_escaped(text: str, safe: str) -> None:
    """Where it may be code, the escape is an invisible character."""
    assert guarded(text).replace("<\u200b", "&lt;") == safe


@pytest.mark.parametrize(
    "text",
    [
        "```html\n<!DOCTYPE html>\n<!-- <@U1> -->\n```\nend",
        "```\n<!channel>",
        "   ```\n   <!channel>\n   ```",
        "````md\n```\n<!here>\n```\n````",
        "use `<!channel>` here",
        "``<!channel> ` ``",
        "```<!channel>``` on one line",
        "1. First:\n\n   ```html\n   <!DOCTYPE html>\n\n   <p>\n   ```\n2. <b>\n",
        "- a\n  - b\n    ```html\n    <!DOCTYPE html>\n    ```\n  - `<!x>`",
        "- ```html\n  <!DOCTYPE html>\n  ```",
        "| a | b |\n|---|---|\n| `<!here>` | `<@U1>` |",
        "[docs](https://x.y/z) say `<!here>`, and *so* [on](http://x) `<@U1>`",
        "an ` alone\n\nand `<!here>`",
        "> ```\n> quoted\n> ```\n\n```\n<!here>\n```",
        "~~~\nx\n~~~\n\n```\n<!here>\n```",
        "```\r\n<!here>\r\n```\r\n`<!here>`\r\n",
        "# `<!doctype>`\n- [ ] `<!here>`",
    ],
)
def test_code_is_unchanged(text: str) -> None:
    assert guarded(text) == text
    assert "".join(fed_in_deltas(text, list(range(len(text))))) == text


HARMLESS = [
    "<!DOCTYPE html>",
    "<!-- a comment -->",
    "<![CDATA[x]]>",
    "<@decorated>",
    "<#if>",
    "<!chan>",
]
SHAPES = [
    "{}",
    "```\n{}\n```",
    "- ```html\n  {}\n  ```",
    "1. a\n\n   ```\n   {}\n   ```",
    "~~~\n{}\n~~~",
    "> ```\n> {}\n> ```",
    "a\n\n    {}\n",
    "`{}`",
    "| a |\n|---|\n| `{}` |",
    "text {} text",
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", HARMLESS)
def test_text_that_is_not_a_slack_sequence_stays_unchanged(shape: str, text: str) -> None:
    whole = shape.format(text)
    assert guarded(whole) == whole
    assert "".join(fed_in_deltas(whole, list(range(len(whole))))) == whole


CODE_SHAPES = [
    *(shape for shape in SHAPES if shape not in ("{}", "text {} text")),
    "~~~html\n{}\n~~~\n\n```\n{}\n```",
    "* a\n  ~~~\n  {}\n  ~~~",
    "- a\n  - b\n    ```\n{}\n    ```",
    "10. a\n\n    ```\n    {}\n    ```",
    "> - a\n>   ```\n>   {}\n>   ```",
    "- a\n\n      {}\n",
    "\t{}",
    "> a\n>\n>     {}",
    "> `{}`",
    "`a {}\nb`",
    "`a\n{} b`",
    "| a |\n|---|\n| `x \\| {}` |",
]


@pytest.mark.parametrize("shape", CODE_SHAPES)
@pytest.mark.parametrize("text", ["<!channel>", "<@U1>", "<#C1|x>", "<!subteam^S1>"])
def test_a_control_sequence_looks_right_in_all_shapes_of_code(shape: str, text: str) -> None:
    """It is intact where all parsers see code, else broken by an invisible character."""
    whole = shape.replace("{}", text)
    safe = guarded(whole)
    assert safe.replace("\u200b", "") == whole
    assert "".join(fed_in_deltas(whole, list(range(len(whole))))) == safe


@pytest.mark.parametrize(
    "text", ["<!&#99;hannel>", "<@&#85;1>", "<#&#67;1>", "<!SubTeam\\^S1>", "<\\\\!here>"]
)
def test_a_disguised_control_sequence_is_escaped(text: str) -> None:
    assert guarded(text) == f"&lt;{text[1:]}"


def test_only_undecided_text_is_held_back() -> None:
    guard = MentionGuard()

    assert guard.feed("Some words and a <") == "Some words and a "
    assert guard.feed("b> and `code") == "<b> and `code"
    assert guard.feed(" with <") == " with "
    assert guard.feed("!chan") == ""
    assert guard.feed("nel> in it") == ""
    assert guard.feed("` after") == "<!channel> in it` after"
    assert guard.feed(" `open <@U1> more") == " `open "
    assert guard.feed("\n") == "<\u200b@U1> more\n"
    assert guard.feed("\n```py\nx = '<!here>") == "\n```py\nx = '<!here>"
    assert guard.feed("'\n```\n<!he") == "'\n```\n"
    assert guard.feed("ll") == "<!hell"
    assert guard.feed(" <!he") == " "
    assert guard.feed("re") == "&lt;!here"
    assert guard.finish() == ""


PIECES = st.sampled_from(
    [
        *"`\n\n \t|\\[]()\"'<>!@#*_a\r\x0c\u2028€",
        *[
            "``",
            "```",
            "````",
            "`" * 20,
            "~~~",
            "\n\n",
            "\n```\n",
            "\n```py\n",
            "\n~~~\n",
            "\n  ```\n",
            "\n     ```\n",
        ],
        *[
            "  ",
            "   ",
            "    ",
            "- ",
            "* ",
            "1. ",
            "2. ",
            "12) ",
            "> ",
            "# ",
            " | ",
            "\n|--|--|\n",
            "\n---\n",
            "\r\n",
        ],
        *[
            "](",
            "]: ",
            "][",
            "[`",
            "`](",
            "<http://a.b/",
            "<a@b.c",
            "**",
            "b c",
            "漢字",
            "👩\u200d👧",
            "&lt;",
            "&#96;",
        ],
        *["\nx", "\n- ", "\n  ", "\n   ", "\n    ", "\n     ", "\n> ", "\n1. ", "\n   ```\n"],
    ]
)
PINGS = st.sampled_from(
    ["<!channel", "<!here", "<!everyone", "<!subteam^", "<!date^", "<@U", "<@W", "<#C", "<\\!here"]
)


@st.composite
def hostile_texts(draw: st.DrawFn) -> str:
    """Text in which every control sequence carries its own number."""
    parts: list[str] = []
    for number in range(draw(st.integers(1, 5))):
        parts += draw(st.lists(PIECES, max_size=9))
        parts.append(f"{draw(PINGS)}n{number}n")
    return "".join([*parts, *draw(st.lists(PIECES, max_size=6))])


def code_contents(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("fence", "code_block", "code_inline"):
            yield token.content
        yield from code_contents(token.children or [])


PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def unescaped_outside_code(text: str) -> list[str]:
    """The numbers of the unescaped control sequences that a Markdown parser does not treat as code."""
    tokens = PARSER.parse(text)
    code = "\0".join(code_contents(tokens))
    loose = [alive for alive in re.findall(rf"<{SEQUENCE}(n\d+n)", text) if alive not in code]
    shown = PARSER.renderer.render(tokens, PARSER.options, {}) if loose else ""
    return [alive for alive in loose if alive in shown]


@given(hostile_texts())
def test_unescaped_sequences_are_code_to_a_markdown_parser(text: str) -> None:
    assert not unescaped_outside_code(guarded(text))


@given(hostile_texts(), st.lists(st.integers(0, 120), max_size=12))
def test_delta_boundaries_make_no_difference_and_every_prefix_is_safe(
    text: str, cuts: list[int]
) -> None:
    given_out = fed_in_deltas(text, cuts)

    assert "".join(given_out) == guarded(text)
    assert "".join(fed_in_deltas(text, list(range(len(text))))) == guarded(text)
    shown = ""
    for piece in given_out:
        shown += piece
        assert not unescaped_outside_code(shown)


@given(hostile_texts())
def test_nothing_else_is_changed(text: str) -> None:
    safe = guarded(text)

    escaped = re.compile(rf"(?:&lt;|<\u200b)(?={SEQUENCE})")
    assert escaped.sub("<", safe) == escaped.sub("<", text)
    assert guarded(safe) == safe
