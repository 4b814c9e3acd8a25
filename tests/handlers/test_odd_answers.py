"""What people see, and what is stored, of answers in the unusual forms that servers send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence

import pytest

from bot import strings
from bot.config.chats import StreamMode
from tests.handlers.conftest import WorldFactory
from tests.handlers.long_texts import essay
from tests.handlers.scripted_models import questions, scripted_world
from tests.handlers.world import World, below, elements, shown
from tests.providers.parsing import STOP, choice, pieces
from tests.providers.scripted_server import (
    DONE,
    Behaviour,
    ReceivedRequest,
    ResponseWriter,
    data,
    delta,
    streaming,
)
from tests.slow import slow_after
from tests.tables import rows_of_a_table

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
MARKS_IN_LISTS = "- <think> opens\n- </think> closes\n\nEscaped: &lt;think&gt; and &lt;/think&gt;.\n\nThat is all."
ANSWERS: dict[str, tuple[list[bytes], str, str | None]] = {
    "reasoning": ([pieces("<thinking>hm</thinking>Hi you."), STOP, DONE], "Hi you.", None),
    "reasoning of harmony": (
        [pieces("<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>Hi you."), STOP],
        "Hi you.",
        None,
    ),
    "a closing mark in quotes": (
        [pieces('End it with "</think>", so.'), STOP, DONE],
        'End it with "</think>", so.',
        None,
    ),
    "a closing mark in a span": (
        [pieces("End it with `</think>`, so."), STOP, DONE],
        "End it with `</think>`, so.",
        None,
    ),
    "a closing mark in indented code": (
        [pieces("So:\n\n    </think>\n\nThat is it."), STOP, DONE],
        "So:\n\n    </think>\n\nThat is it.",
        None,
    ),
    "a closing mark after a quotation mark that nothing closes": (
        [pieces('Say "Hi.</think>Hi you.'), STOP, DONE],
        "Hi you.",
        None,
    ),
    "reasoning in spelled out tags within tags": (
        [pieces("&lt;think >a &lt;think&gt;b</think>c</think>\n\nHi you."), STOP, DONE],
        "Hi you.",
        None,
    ),
    "a sentence about marks": (
        [pieces("Write <think> before and </think> after, or </think>, alone."), STOP, DONE],
        "Write <think> before and </think> after, or </think>, alone.",
        None,
    ),
    "a list and a table about marks": (
        [pieces(MARKS_IN_LISTS), STOP, DONE],
        MARKS_IN_LISTS,
        None,
    ),
    "headings that models give their reasoning": (
        [pieces("**Thinking:** I can.\n\n**Answer:** I go."), STOP, DONE],
        "**Thinking:** I can.\n\n**Answer:** I go.",
        None,
    ),
    "a router's stop for a cut": (
        [choice(delta={"content": "Hi"}, finish_reason="stop", native_finish_reason="SAFETY")],
        "Hi",
        "filtered",
    ),
    "a pair in two halves": (
        [
            b'data: {"choices": [{"delta": {"content": "Hi \\ud83d"}}]}\n\n',
            b'data: {"choices": [{"delta": {"content": "\\ude00"}}]}\n\n',
            STOP,
            DONE,
        ],
        "Hi 😀",
        None,
    ),
    "thoughts with a pair in two halves, and half a pair": (
        [delta(reasoning="H\ud83d"), delta(reasoning="\ude00m\ud83d"), delta("Hi."), STOP, DONE],
        "Hi.",
        None,
    ),
    "half a pair": (
        [b'data: {"choices": [{"delta": {"content": "Hi \\ud83d"}}]}\n\n', STOP, DONE],
        "Hi \ufffd",
        None,
    ),
    "the whole message at last": (
        [pieces("Hi you."), choice(message={"content": "Hi you."}, finish_reason="stop"), DONE],
        "Hi you.",
        None,
    ),
    "a broken part": (
        [delta("Hi "), b'data: {"choices": [{"del\n\n', delta("you."), STOP, DONE],
        "Hi ",
        "broken_off",
    ),
    "a bad end": ([delta("Hi "), delta(finish="network_error"), DONE], "Hi ", "broken_off"),
    "an error beside no choices": (
        [delta("Hi "), data({"choices": [], "error": {"message": "No"}})],
        "Hi ",
        "server_fault",
    ),
    "only a picture": ([delta(images=[PICTURE]), STOP, DONE], "", "pictures_only"),
}

REPRESENTATIVE = (
    "reasoning",
    "a closing mark in a span",
    "reasoning in spelled out tags within tags",
    "headings that models give their reasoning",
    "a router's stop for a cut",
    "thoughts with a pair in two halves, and half a pair",
    "the whole message at last",
    "a broken part",
    "only a picture",
)
"""One answer of each kind: the quick test tries these, the long one all."""


def each_its_own(answers: Iterable[Behaviour]) -> Behaviour:
    """The model is asked `Say number 0.` for the first answer, and so on."""
    by_question = {f"Say number {n}.": answer for n, answer in enumerate(answers)}

    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await by_question[str(received.body["messages"][-1]["content"])](received, out)

    return behaviour


async def chats(world: World, count: int) -> list[str]:
    """The threads in which the model was asked for so many answers, once they have ended."""
    threads = [await world.start(f"Say number {n}.") for n in range(count)]
    for thread in threads:
        await world.answered(thread)
    await world.idle()
    return threads


@pytest.mark.parametrize(
    "names", slow_after(1, [list(REPRESENTATIVE), list(ANSWERS)]), ids=["some", "all"]
)
async def test_an_answer_is_shown_and_stored_as_what_it_is(
    worlds: WorldFactory, names: Sequence[str]
) -> None:
    answers = {name: ANSWERS[name] for name in names}
    model = each_its_own(streaming(*sent) for sent, _, _ in answers.values())
    async with scripted_world(worlds, model) as (world, server):
        threads = await chats(world, len(answers))
        with rows_of_a_table() as rows:
            for thread, (name, (_, text, error)) in zip(threads, answers.items(), strict=True):
                with rows.row(name):
                    (stored,) = world.ended(thread)
                    (message,) = world.answers(thread)
                    assert (stored["text"], stored["error"]) == (text, error)
                    assert shown(message).strip() == text.strip()
                    assert bool(elements(message, "retry_answer")) == (error is not None)
        assert len(questions(server)) == len(answers)


MARKDOWN = {
    "a break in a table": (
        "| a | b |\n|---|---|\n| x<br>y | z |",
        "| a | b |\n|---|---|\n| x | z |\n| y |  |",
    ),
    "a doctype in a list's fence": ("- a\n  ```\n  <!DOCTYPE html>\n  ```", None),
    "a comment between tildes": ("~~~\n<!-- x -->\n~~~", None),
    "CDATA in a quote": ("> ```\n> <![CDATA[x]]>\n> ```", None),
    "types by indentation": ("So:\n\n    List<String> a;\n", None),
    "a mention in a fence": ("```\n<@U0DAN>\n```", None),
    "a mention between tildes": ("~~~\n<@U0DAN>\n~~~", "~~~\n<\u200b@U0DAN>\n~~~"),
    "a mention in a quoted fence": ("> ```\n> <!here>\n> ```", "> ```\n> <\u200b!here>\n> ```"),
    "a mention in a sentence": ("Ask <@U0DAN>.", "Ask &lt;@U0DAN>."),
}


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_markdown_is_prepared_for_slack_but_stored_unchanged(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    """The stored text is what the model has written."""
    model = each_its_own(
        streaming(*(delta(letter) for letter in sent), STOP, DONE) for sent, _ in MARKDOWN.values()
    )
    async with scripted_world(worlds, model, bobbin_stream=mode) as (world, _):
        threads = await chats(world, len(MARKDOWN))
        with rows_of_a_table() as rows:
            for thread, (name, (sent, seen)) in zip(threads, MARKDOWN.items(), strict=True):
                with rows.row(name):
                    assert shown(world.answers(thread)[0]).strip() == (seen or sent).strip()
                    assert world.ended(thread)[0]["text"] == sent


async def test_an_answer_that_the_server_has_cut_says_so(worlds: WorldFactory) -> None:
    async with scripted_world(
        worlds, streaming(delta("Hi "), delta(finish="max_tokens"), DONE)
    ) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        assert strings.CUT_BY_LENGTH in below(world.answers(thread)[0])


def slowly(*sent: bytes, pause: float = 0.15) -> Behaviour:
    async def behaviour(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        for piece in sent:
            await out.chunk(piece)
            await asyncio.sleep(pause)
        await out.end()

    return behaviour


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
@pytest.mark.parametrize("hidden", ["Hm. ", essay(80)], ids=["one message", "several messages"])
async def test_reasoning_that_was_taken_for_the_answer_is_taken_back(
    worlds: WorldFactory, mode: StreamMode, hidden: str
) -> None:
    """The opening mark was in the prompt. The chat's next answer, and its title, show no reasoning at all."""
    third = len(hidden) // 3
    sent = [
        delta(hidden[:third]),
        delta(hidden[third:]),
        delta("So.\n</think>\n\nHi "),
        delta("you."),
        STOP,
    ]
    async with scripted_world(
        worlds, slowly(*sent), title=slowly(*sent, pause=0.0), bobbin_stream=mode
    ) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        await world.idle()
        (message,) = world.answers(thread)
        assert shown(message) == "Hi you."
        assert world.ended(thread)[0]["text"] == "Hi you."
        assert "title" not in below(message)
        assert world.chats()[0]["title"] == "Hi you"
        await world.slack.conversations.say("alice", "general", "Once more.", thread)
        await world.answered(thread, 2)
        later = world.answers(thread)[1]
        assert [state for state in later.states_for("U0ALICE") if "So." in str(state)] == []
        assert shown(later) == "Hi you."


async def test_sources_are_shown_below_the_answer_and_stored(worlds: WorldFactory) -> None:
    """As numbered links that can neither ping nor break out; the API's answer has them too."""
    named = [
        {"url": "https://a.example/x?a=1&b=<2>|3", "title": "A <!channel> | page"},
        {"url": "http://insecure.example"},
        {"url": "https://b.example"},
    ]
    sent = streaming(delta("Hi.", annotations=named), STOP, DONE)
    async with scripted_world(worlds, sent) as (world, _):
        thread = await world.start("Say something.")
        await world.answered(thread)
        (message,) = world.answers(thread)
        first, second = below(message).splitlines()[:2]
        assert first.startswith("1. <https://a.example/x?a=1&amp;b=%3C2%3E%7C3|A ")
        assert "<!channel>" not in first
        assert second == "2. <https://b.example|b.example>"
        stored = json.loads(world.messages(thread)[1]["sources"])
        assert [source["url"] for source in stored] == [named[0]["url"], named[2]["url"]]


async def test_a_stopped_answer_keeps_the_sources_that_have_come(worlds: WorldFactory) -> None:
    async def begins(received: ReceivedRequest, out: ResponseWriter) -> None:
        await out.head()
        named = [{"url": "https://a.example/x", "title": "A page"}]
        await out.chunk(delta("Hi.", annotations=named))
        await asyncio.Event().wait()

    async with scripted_world(worlds, begins) as (world, _):
        thread = await world.start("Say something.")
        await world.until(
            lambda: [m for m in world.answers(thread) if "Hi." in shown(m)], "the beginning"
        )
        await world.slack.conversations.say("alice", "general", "stop", thread)
        await world.answered(thread)
        await world.idle()
        (message,) = world.answers(thread)
        assert below(message).splitlines()[0] == "1. <https://a.example/x|A page>"
        assert world.ended(thread)[0]["status"] == "stopped"
