"""A chat that outgrows its model's window: its beginning, a stored summary and the newest turns are sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot import strings
from bot.chats.summarizer import SUMMARY_INSTRUCTION
from bot.config.chats import LongChatsMode
from bot.sandbox.models.demo import DemoModel, asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript, script_from_text, text_of, words
from bot.sandbox.models.server import ModelServer
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World, below, elements, shown
from tests.slow import slow_after

WINDOW = 8_000
SUMMARY = "They counted apples, and then pears."
FILLER = " ".join(f"apple{n}" for n in range(120))


def tokens(text: str) -> int:
    return len(text) // 5


def asks_for_summary(asked: Any) -> bool:
    return text_of(asked.messages[0]) == SUMMARY_INSTRUCTION


class CountingModel:
    """A model whose server refuses what its window does not hold, and counts tokens as it likes."""

    def __init__(self, window: int = WINDOW, summary: ModelScript | None = None) -> None:
        self.window = window
        self.summary = summary or ModelScript(words(SUMMARY))

    def __call__(self, asked: Any) -> ModelScript:
        if asks_for_title(asked.messages):
            return ModelScript(words("Many apples"))
        if sum(tokens(text_of(message)) for message in asked.messages) > self.window:
            message = f"This model's maximum context length is {self.window} tokens."
            return ModelScript([], fault=Fault("http", status=400, message=message))
        if asks_for_summary(asked):
            return self.summary
        number = text_of(asked.messages[-1]).split()[-1]
        return ModelScript(words(f"{FILLER} and answer {number}"), usage=False)


def models(listed: int | None) -> ModelServer:
    """`listed`: the window that the list of models tells."""
    model = DemoModel(MODEL, "Counting", lambda question: script_from_text("Yes", 5000))
    return ModelServer([replace(model, context=listed)], words_per_second=5000.0)  # type: ignore[arg-type]


async def grow(world: World, thread: str, messages: int) -> None:
    """Extends the chat to this many messages, all answered."""
    chat = world.chats()[0]
    begin = len(world.messages(thread))
    for number in range(begin + 1, messages + 1):
        role = "user" if number % 2 else "assistant"
        text = f"{FILLER} and {'question' if number % 2 else 'answer'} {(number + 1) // 2}"
        await world.execute(
            "INSERT INTO messages (id, chat_id, number, role, text, status, author, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, ?, 'done', ?, ?, ?)",
            f"m{number:031}", chat["id"], number, role, text, "U0ALICE" if number % 2 else None,
            chat["created_at"], chat["created_at"],
        )  # fmt: skip
    await world.execute("UPDATE chats SET message_count = ?", messages)


async def ask(world: World, thread: str, question: int) -> None:
    text = f"{FILLER} and question {question}"
    before = len(world.ended(thread))
    await world.slack.conversations.say("alice", "general", text, thread)
    await world.answered(thread, before + 1)


def chat_requests(world: World) -> list[Any]:
    return [asked for asked in world.models.requests() if not asks_for_summary(asked)]


def answered_requests(world: World) -> list[Any]:
    return [asked for asked in chat_requests(world) if asked.sent]


def summaries(world: World) -> list[Any]:
    return [asked for asked in world.models.requests() if asks_for_summary(asked)]


@pytest.mark.parametrize("listed", [WINDOW, None], ids=["known window", "unknown window"])
async def test_ninety_messages_fit_a_small_window(worlds: WorldFactory, listed: int | None) -> None:
    async with worlds(models=models(listed)) as world:
        world.models.answer_with("*", CountingModel())
        thread = await world.start(f"{FILLER} and question 1")
        await world.answered(thread)
        await grow(world, thread, 90)
        stored = [(m["id"], m["text"]) for m in world.messages(thread)]
        for question in (46, 47, 48):
            await ask(world, thread, question)
        await world.idle()

        assert [row["status"] for row in world.ended(thread)] == ["done"] * 4
        assert [(m["id"], m["text"]) for m in world.messages(thread)][:90] == stored
        (summary,) = world.rows("SELECT * FROM summaries")
        assert (summary["since"], summary["text"]) == (3, SUMMARY)
        count = summary["through"] - 2
        for asked in answered_requests(world)[-3:]:
            sent = [text_of(message) for message in asked.messages]
            everything = [m["text"] for m in world.messages(thread)]
            assert sent[1:3] == everything[:2]
            assert sent[3].endswith(everything[summary["through"]])
            assert SUMMARY in sent[3]
            newest = sent[4:]
            assert len(newest) >= 6
            end = everything.index(newest[-1]) + 1
            assert newest == everything[end - len(newest) : end]
        footers = [below(message) for message in world.answers(thread)[-3:]]
        assert all(strings.SUMMARISED.format(count=count) in footer for footer in footers)
        first, second = answered_requests(world)[-2:]
        assert list(second.messages)[: len(first.messages)] == list(first.messages)


async def test_a_chat_that_fits_is_sent_whole(worlds: WorldFactory) -> None:
    async with worlds(models=models(WINDOW)) as world:
        world.models.answer_with("*", CountingModel())
        thread = await world.start(f"{FILLER} and question 1")
        await world.answered(thread)
        await grow(world, thread, 14)
        await ask(world, thread, 8)
        assert len(chat_requests(world)[-1].messages) == 16
        assert summaries(world) == []
        assert "summarised" not in below(world.answers(thread)[-1])


@pytest.mark.parametrize("way", slow_after(1, ["is slow", "fails"]))
async def test_without_a_summary_the_newest_turns_are_sent(worlds: WorldFactory, way: str) -> None:
    """A slow summary is stored when it is there, for the next answer."""
    refused = ModelScript([], fault=Fault("http", status=402))
    slow = ModelScript(words(SUMMARY), first_after=3.0)
    timing = replace(patient_timing(), summary_wait=0.1)
    async with worlds(models=models(WINDOW), timing=timing) as world:
        model = CountingModel(summary=refused if way == "fails" else slow)
        world.models.answer_with("*", model)
        thread = await world.start(f"{FILLER} and question 1")
        await world.answered(thread)
        await grow(world, thread, 90)
        await ask(world, thread, 46)
        await world.idle()
        sent = [text_of(message) for message in chat_requests(world)[-1].messages]
        everything = [m["text"] for m in world.messages(thread)]
        assert sent[1:3] == everything[:2]
        assert sent[-1] == everything[90]
        assert "earlier messages left out" in below(world.answers(thread)[-1])

        if way == "is slow":
            await world.until(lambda: world.rows("SELECT * FROM summaries"), "the summary")
        await ask(world, thread, 47)
        await world.idle()
        assert len(summaries(world)) == 1
        assert ("summarised" in below(world.answers(thread)[-1])) == (way == "is slow")


@pytest.mark.parametrize("mode", LongChatsMode)
async def test_a_chat_that_cannot_be_made_to_fit_is_reported(
    worlds: WorldFactory, mode: LongChatsMode
) -> None:
    """With `whole` nothing is left out; with `summarise` a question that is too long alone has nothing to leave out."""
    size = 90 if mode is LongChatsMode.WHOLE else 2
    async with worlds(models=models(WINDOW), bobbin_long_chats=mode) as world:
        world.models.answer_with("*", CountingModel(WINDOW if mode is LongChatsMode.WHOLE else 200))
        thread = await world.start("question 1")
        await world.answered(thread)
        await grow(world, thread, size)
        await ask(world, thread, 46)
        await world.idle()
        failed = world.answers(thread)[-1]
        assert world.ended(thread)[-1]["error"] == "too_long"
        assert elements(failed, "retry_with_model")
        assert shown(failed) == ""
        assert summaries(world) == []
