"""Model servers with strict templates: whatever happened in a chat before, every message gets its answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from bot.chats.prompt_turns import LEFT_OUT
from bot.config.chats import StreamMode
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import Fault, ModelScript, text_of, words
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import MODEL, World, elements, shown
from tests.slow import slow_after

PEOPLE = ("alice", "bob", "carol")
FORBIDDEN = "forbidden words"
MAX_PICTURES = 3


def refusal(status: int, message: str) -> ModelScript:
    return ModelScript([], fault=Fault("http", status=status, message=message))


class StrictModel:
    """A model whose server refuses a system role, two turns of one role in a row, and forbidden words.

    A question says what happens to it: `fail` the first time, `hang` until it is stopped, or nothing.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, asked: Any) -> ModelScript:
        roles = [message["role"] for message in asked.messages]
        if asks_for_title(asked.messages) and "system" not in roles:
            return ModelScript(words("A fine title"))
        if "system" in roles:
            return refusal(400, "System role not supported")
        texts = [text_of(message) for message in asked.messages]
        if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"] or not all(texts):
            return refusal(400, "Conversation roles must alternate user/assistant/user/...")
        if any(FORBIDDEN in text for text in texts):
            return refusal(400, "Your input was flagged by our content policy.")
        return self._answer(texts[-1].split("\n")[-1].split(": ")[-1])

    def _answer(self, question: str) -> ModelScript:
        self.asked[question] += 1
        if "fail" in question and self.asked[question] == 1:
            return refusal(401, "No valid key")
        if "hang" in question and self.asked[question] == 1:
            return ModelScript(["Never said."], first_after=600.0)
        return ModelScript(words(f"Answer to {question}"))


async def live_through(world: World, number: int, chance: random.Random) -> None:
    """One chat with questions that are answered, fail, are refused or stopped, and are retried or not."""
    kinds = ["plain", "fail", "hang", FORBIDDEN]
    plan = [*chance.choices(kinds, k=2), "plain"]
    questions = [f"chat {number} question {n}, {kind}" for n, kind in enumerate(plan)]
    thread = ""
    for n, (kind, question) in enumerate(zip(plan, questions, strict=True)):
        who = chance.choice(PEOPLE) if n else "alice"
        if not thread:
            thread = await world.start(question)
        else:
            await world.slack.conversations.say(who, "general", question, thread)
        if kind == "hang":
            await stop(world, thread, question)
        await world.answered(thread, n + 1)
        if kind == "fail" and chance.random() < 0.5:
            await retry(world, thread, n)
    last = world.ended(thread)[-1]
    assert (last["status"], last["text"]) == ("done", f"Answer to {questions[-1]}")


async def stop(world: World, thread: str, question: str) -> None:
    await world.until(lambda: is_asked(world, question), "the model is asked")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("carol", world.header(thread), "stop_answer")


def is_asked(world: World, question: str) -> bool:
    return any(text_of(a.messages[-1]).endswith(question) for a in world.models.journal)


async def retry(world: World, thread: str, number: int) -> None:
    def failed() -> Any:
        return elements(world.answers(thread)[number], "retry_answer")

    await world.until(failed, "the button")
    await world.slack.interactions.press("bob", world.answers(thread)[number], "retry_answer")
    await world.until(lambda: world.ended(thread)[number]["status"] == "done", "the answer")


@pytest.mark.slow
@pytest.mark.parametrize(("batches", "size"), [(1, 4), (2, 10)])
async def test_every_message_of_random_chats_is_answered(
    world: World, thorough: bool, batches: int, size: int
) -> None:
    """However many failures, stops, refusals, retries and people there were before."""
    world.models.answer_with("*", StrictModel())
    chance = random.Random(15)
    for batch in range(10 if thorough else batches):
        chats = range(batch * size, (batch + 1) * size)
        await asyncio.gather(*(live_through(world, number, chance) for number in chats))
    systems = [a for a in world.models.requests() if a.messages[0]["role"] == "system"]
    assert len(systems) <= 10  # those in progress when the first was refused


async def test_a_refused_system_role_is_remembered_after_a_restart(world: World) -> None:
    world.models.answer_with("*", StrictModel())
    thread = await world.start("plain one")
    await world.answered(thread)
    await world.restart()
    await world.slack.conversations.say("alice", "general", "plain two", thread)
    await world.answered(thread, 2)
    roles = [[m["role"] for m in asked.messages] for asked in world.models.requests()]
    assert roles == [["system", "user"], ["user"], ["user", "assistant", "user"]]


REFUSED: dict[str, tuple[int, str]] = {
    "filtered": (400, "Your input was flagged by our content policy."),
    "refused": (400, "At most 3 images may be provided in one request."),
    "too_long": (400, "This model's maximum context length is 8192 tokens."),
}


@pytest.mark.parametrize("code", slow_after(1, REFUSED))
async def test_what_was_refused_is_mentioned_later_and_sent_at_its_own_retry(
    worlds: WorldFactory, code: str
) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        status, message = REFUSED[code]
        world.fail("http", status=status, message=message)
        world.say("Of course.", "Now I can.")
        thread = await world.start("A question too much")
        await world.answered(thread)
        await world.slack.conversations.say("alice", "general", "Something else?", thread)
        await world.answered(thread, 2)
        await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")
        await world.until(lambda: world.ended(thread)[0]["status"] == "done", "the answer")
        await world.idle()
        assert [request[1:] for request in world.requests()] == [
            [("user", "A question too much")],
            [("user", f"{LEFT_OUT}\n\nSomething else?")],
            [("user", "A question too much")],
        ]
        assert [shown(m) for m in world.answers(thread)] == ["Now I can.", "Of course."]


async def test_a_question_without_its_answer_goes_with_the_next(world: World) -> None:
    world.models.queue(MODEL, ModelScript(["Never said."], first_after=600.0))
    world.say("Both.")
    thread = await world.start("First?")
    await world.until(lambda: world.models.requests(), "the model is asked")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread)
    await world.slack.conversations.say("bob", "general", "Second?", thread)
    await world.answered(thread, 2)
    assert world.requests()[1][1:] == [("user", "alice: First?\n\nbob: Second?")]
