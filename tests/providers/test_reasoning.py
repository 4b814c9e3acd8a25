"""Reasoning that comes as text is never part of the answer, whatever family of models it comes from."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.stream_events import (
    ReasoningDelta,
    TextDelta,
    TextRetracted,
)
from bot.errors import (
    EmptyAnswer,
)
from tests.providers.harness import ProviderHarness, read
from tests.providers.parsing import (
    STOP,
    outcome,
    parse,
    pieces,
)
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    ScriptedServer,
    delta,
)

FAMILIES = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<THINK>", "</THINK>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<seed:think>", "</seed:think>"),
    ("<antThinking>", "</antThinking>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    ("<unused94>", "<unused95>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    (
        "<|start|>assistant<|channel|>commentary to=functions.x <|constrain|>json<|message|>",
        "<|call|><|start|>assistant<|channel|>final<|message|>",
    ),
    ("<think_faster>", "</think_faster>"),
    ("<think:opensource>", "</think:opensource>"),
    ("<scratch_pad>", "</scratch_pad>"),
    ("<Thought_Process>", "</Thought_Process>"),
    ("[REASONING]", "[/REASONING]"),
    ("<|thought|>", "<|/thought|>"),
    ("<|reasoning_start|>", "<|reasoning_end|>"),
    ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
    ("<｜begin▁of▁thinking｜>", "<｜end▁of▁thinking｜>"),
    ("<|im_start|>think\n", "<|im_end|><|im_start|>answer"),
    ("<ctrl94>thought\n", "<ctrl95>"),
    ('<details type="reasoning" done="true">', "</details>"),
    ("<think >", "</think >"),
    ("< think>", "</ think>"),
    ("<think\n>", "</think\n>"),
    ('<think lang="en" depth=3>', "</think>"),
    ("&lt;think&gt;", "&lt;/think&gt;"),
    ("\\<thinking\\>", "\\</thinking\\>"),
    ("＜think＞", "＜/think＞"),
    ("\\u003cthink\\u003e", "\\u003c/think\\u003e"),
    ("<minimax:think>", "</minimax:think>"),
    ("<REASONING_SCRATCHPAD>", "</REASONING_SCRATCHPAD>"),
    ("<inner_monologue>", "</inner_monologue>"),
    ("[BEGIN_THINKING]", "[END_THINKING]"),
    ("<start_of_thought>", "<end_of_thought>"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_TEXT|>"),
    ("Thinking...\n", "...done thinking.\n"),
    ("Here is my thought process:", "Here is my response:"),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
    ("analysis", "assistantfinal"),
]
WORDS = 4
"""How many families at the end of the list open their reasoning with words, which mean so only at the beginning."""
ESCAPES = ("&lt;", "\\<", "＜", "\\u003c")
"""How texts about tags spell them, too: such tags mean so only at the beginning."""
REASONING = "User asks [a](b) < c </b> `x` hm.\n\n"


@pytest.mark.parametrize(("opening", "closing"), FAMILIES)
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_no_familys_reasoning_is_part_of_the_answer(opening: str, closing: str, size: int) -> None:
    text = f"\n{opening}{REASONING}{closing}\n\nHi [you](x) <b>.".removeprefix(
        "\n" if opening == "analysis" else ""
    )
    assert outcome(pieces(text, size) + STOP) == ("Hi [you](x) <b>.", "stop")
    assert any(isinstance(event, ReasoningDelta) for event in parse(pieces(text, size), STOP)[0])


@pytest.mark.parametrize(("opening", "closing"), FAMILIES[:-WORDS])
def test_marks_on_a_later_line_count_too(opening: str, closing: str) -> None:
    text = f"Well.\n{opening}{REASONING}{closing}Hi."
    is_text = opening.startswith(ESCAPES)
    for size in (1, 3, 1000):
        shown, end = outcome(pieces(text, size) + STOP)
        assert (shown, end) == (text if is_text else "Well.\nHi.", "stop")


@pytest.mark.parametrize(
    "closing", ["</think>", "</thinking>", "[/THINK]", "◁/think▷", "</seed:think>"]
)
def test_a_closing_mark_alone_retracts_what_came_before(closing: str) -> None:
    text = f"{REASONING}{closing}\n\nHi."
    for size in (1, 3, 1000):
        assert outcome(pieces(text, size) + STOP) == ("Hi.", "stop")
        assert outcome(pieces(text, size) + STOP, begins_with_reasoning=True) == ("Hi.", "stop")
    events, _ = parse(pieces(text, 1), STOP, begins_with_reasoning=True)
    assert not any(isinstance(event, TextRetracted) for event in events)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi.", "Hi."),
        ("hm<|end|><|start|>assistant<|channel|>final<|message|>Hi.", "Hi."),
        ("Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nHi.", "Hi."),
        ("<think>hm</think>\n<answer>Hi.</answer>", "Hi."),
        ("<answer>Hi.</answer>", "<answer>Hi.</answer>"),
        ("<|inner_prefix|>hm<|inner_suffix|>Hi.", "Hi."),
        ("<longcat_think>hm</longcat_think>Hi.", "Hi."),
        ("<|message|>Hi.", "Hi."),
        ("<think>hm</think>\n<response>\nHi.</response>", "Hi."),
        ("<think>a <think>b</think> c\n</think>\n\nHi.", "Hi."),
        ("<think>a <thinking>b</thinking> c</think>Hi.", "Hi."),
        ("<think>\n\n</think>\n\n<think>hm</think>Hi.", "Hi."),
        ("<think/>Hi.", "Hi."),
        ("Hi.<|end_of_text|>", "Hi."),
        ("Hi.<end_of_turn>", "Hi."),
        ("<think>hm</think>It is <|begin_of_box|>Paris<|end_of_box|>", "It is Paris"),
        ("<|im_start|>assistant\n<think>hm</think>Hi.<|im_end|>", "Hi."),
    ],
)
def test_frames_of_single_families_are_not_part_of_the_answer(text: str, expected: str) -> None:
    for size in (1, 3, 1000):
        assert outcome(pieces(text, size) + STOP) == (expected, "stop")
    if "final<" in text:
        assert outcome(pieces(text) + STOP, begins_with_reasoning=True) == (expected, "stop")


def test_a_model_that_once_began_with_reasoning_need_not_do_so_again() -> None:
    assert outcome(pieces("Hi you.") + STOP, begins_with_reasoning=True) == ("Hi you.", "stop")


def test_unfinished_reasoning_is_not_an_answer() -> None:
    assert outcome(pieces("<think>hm hm") + delta(finish="length")) == ("", EmptyAnswer)
    assert outcome(pieces("Well.\n<think>hm") + delta(finish="length")) == ("Well.\n", "length")
    assert outcome(pieces("hm") + delta(finish="length"), begins_with_reasoning=True)[0] == ""


@pytest.mark.parametrize(
    "text",
    [
        "Use `<think>` and `</think>`.",
        "Use ``<think>`` and ``</think>``, or [THINKING].",
        "```xml\n<think>hm</think>\n```\nSo.",
        "~~~\n</think>\n~~~\n",
        "1. ```\n   <thinking>x</thinking>\n   ```",
        "> ```\n> <think>x</think>\n> ```",
        "The tag <think> opens it.",
        "Models write <think> before and </think> after their thoughts.",
        "R1's tag is <think>, and its end is </think>, with a slash.",
        "The end (</think>) is a word like any other.",
        "Wait for the token </think> and go on.",
        "**Thinking:** it is what minds do.",
        "**Reasoning:** two and two.\n\n**Answer:** four.",
        "Reject it with <reason for this> or <reason>, please.",
        "Set &lt;thin&gt; and &amp; so on, a < b.",
        "[Think](https://think.example) and [REASONING]: two links.",
        "Here is my thought process: I like pears.",
        "Here is my",
        "<details><summary>More</summary>hm</details>",
        "a < b, [x](y), <thinker>, [THIN], ◁ and ▷",
        'Close it with "</think>" and go on.',
        'Close it ("the </think> tag") and go on.',
        "Close it with '</think>', “</think>” or «</thinking>».",
        'Between "<think>" and "</think>" it thinks.',
        'The words "</think> ends it" and “so does </thinking> here” are quoted.\nSo.',
        "So:\n\n    x\n    </think>\n\nDone.",
        "So:\n\n\t</think>\nDone.",
        "They wrote:\n> use </think> here\n\nDone.",
        "analysis of pears",
        "analysis",
        "  indented",
        "<",
        "<thi",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_what_only_mentions_a_mark_is_kept(text: str, size: int) -> None:
    assert outcome(pieces(text, size) + STOP) == (text, "stop")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>hm</think>\n</think>\nHi.", "Hi."),
        (
            "<think>about <think> hm</think>Hi. The tag </think> ends it.",
            "Hi. The tag </think> ends it.",
        ),
        ("<think>not &lt;/think&gt; yet</think>Hi.", "Hi."),
        ("&lt;think&gt;hm&lt;/think&gt;Hi.", "Hi."),
        ("Well, hm </think> Hi.", "Hi."),
        ("<think>hm</think>Hi. The tag </think> ends it.", "Hi. The tag </think> ends it."),
        ("<think>not `</think>` yet</think>Hi.", "Hi."),
        ('<think>not "</think>" yet</think>Hi.', "Hi."),
        ('5" tall, and they say "yes"</think>Hi.', "Hi."),
        ("it's Bob's</think>Hi.", "Hi."),
        ("- one\n\n    more</think>Hi.", "Hi."),
        ('say "hm, then</think>Hi.', "Hi."),
        ('say "hm, then</think>\n\nHi "you".', 'Hi "you".'),
        ('say "hm, then</think>Hi "you".', 'Hi "you".'),
        ("say “hm, then</think>Hi.\nSo.", "Hi.\nSo."),
        ("say '</think>Hi.", "Hi."),
        ('say "hm</think>or "so</think>Hi.', "Hi."),
    ],
)
def test_only_a_closing_mark_that_nothing_opened_says_what_came_before(
    text: str, expected: str
) -> None:
    for size in (1, 3, 1000):
        assert outcome(pieces(text, size) + STOP) == (expected, "stop")


ALPHABET = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<think >",
        "&lt;/think&gt;",
        " and ",
        ", ",
        "**Thinking:**",
        "\n**Answer:**",
        "`",
        "```",
        "\n",
        "~~~",
        "word ",
        "[",
        "<",
        "<|channel|>final<|message|>",
        "[THINK]",
        "◁",
        "analysis",
        "é",
        " ",
        "<|end|>",
        "</",
        "think>",
        '"',
        " '",
        "    ",
        "> ",
        "- ",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ALPHABET, max_size=12).map("".join), st.integers(1, 5))
def test_the_split_never_decides_what_is_shown(text: str, size: int) -> None:
    assert outcome(pieces(text, size) + STOP) == outcome(delta(text) + STOP)


ABOUT_MARKS = [
    "Wrap it in <think>...</think> tags so that the parser finds it.",
    "Wrap it in `<think>...</think>` tags so that the parser finds it.",
    "The <think> tag opens it, and the model closes it with </think>\nThat is all.",
    "It stands between <thinking> and </thinking>!",
    "Write <thinking> and then </thinking> (both lowercase).",
    "Start with the plan, and end with </think>: simple.",
    "Is it </think>? Or </thinking>?",
    "Then the </think> token should appear. Hosts strip it.",
    "The whole block ends with </think>",
    "Qwen emits &lt;think&gt; first and &lt;/think&gt; last.",
    "## Escapes\n\n\\<think\\> opens.\n\nMore text.\n\n\\</think\\> closes.\n\nEnd.",
    "- <think> opens\n- </think> closes\n\nThat is the list.",
    "1. <think> Opens\n2. </think> Closes\n\nThat is the list.",
    "- **<think>** Opens\n- **</think>** Closes",
    "| Tag | Role |\n|---|---|\n| <think> | Opens |\n| </think> | Closes |\n\nDone.",
    "| Tag | Role |\n|---|---|\n| &lt;think&gt; | Opens |\n| &lt;/think&gt; | Closes |",
    "Tag | Role\n--- | ---\nopening | <think>\nclosing | </think>\n",
    "Write <think> your thoughts </think> and then the answer.",
    "For example:\n<think>\nFirst I add.\n</think>\nThe answer is 4.",
    "The format is as follows:\n\n<think>reasoning</think>\n<answer>result</answer>\n\nClear?",
    "<think> is the opening tag, and </think> is the closing one.",
    "<think> and </think> are tags.",
    "<think>…</think> is how R1 marks its thoughts.",
    "<think> ... </think> and <answer> ... </answer> are its tags.",
    "<thinking>your thoughts</thinking> tags hold what it thinks.\n\nThat is all.",
    "[THINK]…[/THINK], says Mistral.",
    "</think> closes what <think> opens.",
    "Emphasis: **</think>** closes it. Bye.",
    "_</think>_ closes it. Bye.",
    "Close it with: </think>. Then go on.",
    "## </think>\nText about it.",
    "The end tag—</think>—closes it.",
    "Prompt -> </think> -> answer. Done.",
    "Steps: question → </think> → answer. Done.",
    "标签是<think>和</think>。就这样。",
    "```html\n<think>a</think>\n```\nThe </think> line ends it.",
    "Use `<think>` first.\n</think> Comes last.",
    'He wrote "use </think> to close it.\nNext line.',
    "# Chain of Thought\n\nA way to ask.\n\n# Answer\n\nYes.",
    "**Chain of thought**\nSteps.\n\n**Answer**\nYes.",
    "**Thinking:** 2 + 2\n\n**Answer:** 4",
    "## Thinking\nI can.\n\n## Feeling\nI am glad.\n\n## Response\nI go.",
    "Thinking:\nTwo and two.\n\nAnswer:\nFour.",
    "Here is my thought process: first pears, then apples.",
    "| Token | Meaning |\n|---|---|\n| <|im_end|> | Ends a turn |\n| <|im_start|>think | Thinks |",
    "The <|im_end|> token ends a turn, and [THINK] begins with brackets, as [/THINK] ends.",
]


@pytest.mark.parametrize("text", ABOUT_MARKS)
def test_an_answer_about_marks_and_headings_is_shown_in_full(text: str) -> None:
    """In one piece and character by character, complete and cut; and no later answer is mistaken for reasoning."""
    cut = delta(finish="length")
    for size in (1, 1000):
        assert outcome(pieces(text, size) + STOP) == (text, "stop")
        assert outcome(pieces(text, size) + STOP, begins_with_reasoning=True) == (text, "stop")
        shown, end = outcome(pieces(text + "\n\nMore", size) + cut)
        assert (shown, end) == (text + "\n\nMore", "length")
        events, _ = parse(pieces(text, size), STOP)
        assert not any(isinstance(event, ReasoningDelta | TextRetracted) for event in events) or (
            text.startswith("Here is my")
        )


async def test_a_model_that_begins_with_reasoning_is_remembered(harness: ProviderHarness) -> None:
    """From the second answer on no reasoning is shown, not even for a moment."""

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for piece in (delta("hm "), delta("hm\n"), delta("</think>"), delta("Hi."), STOP, DONE):
            await out.chunk(piece)
            await asyncio.sleep(0.1)
        await out.end()

    async with ScriptedServer(behaviour).running() as server:
        provider = harness.provider(server.url)
        await read(provider)
        second = await read(provider)
    assert [event for event in second if isinstance(event, TextDelta)] == [TextDelta("Hi.")]
    assert TextRetracted() not in second


async def test_a_model_that_stops_beginning_with_reasoning_is_believed(
    harness: ProviderHarness,
) -> None:
    """After one complete answer without a mark, the next is shown as it arrives. A mark within a sentence changes
    nothing.
    """
    answers = [[delta("hm\n</think>"), delta("Hi.")], [delta("All.")]]
    answers += [[delta("hm, yes</think>"), delta("Hi.")]]
    answers += [[delta("So "), delta("it goes.")]]

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for piece in (*answers.pop(0), STOP, DONE):
            await out.chunk(piece)
            await asyncio.sleep(0.1)
        await out.end()

    async with ScriptedServer(behaviour).running() as server:
        provider = harness.provider(server.url)
        for _ in range(3):
            await read(provider)
        last = await read(provider)
    texts = [event for event in last if isinstance(event, TextDelta)]
    assert texts == [TextDelta("So "), TextDelta("it goes.")]
    assert not any(isinstance(event, ReasoningDelta) for event in last)
