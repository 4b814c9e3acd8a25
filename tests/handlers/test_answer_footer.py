"""The lines below an answer: facts, and people's feedback."""

from __future__ import annotations

import re

from bot import strings
from bot.domain import Answer, AnswerResult, Status, Usage
from handlers.views import answer_footer
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World, below, shown


async def test_feedback_is_stored_per_person_and_the_last_vote_counts(world: World) -> None:
    thread = await world.start("Please me.")
    await world.answered(thread)
    await world.idle()
    answer_id = world.ended(thread)[0]["message_id"]
    for who, value in (("alice", 1), ("bob", -1), ("alice", -1), ("carol", 1), ("carol", 1)):
        await world.slack.interactions.press(
            who, world.answers(thread)[0], "feedback", f"{answer_id}:{value}"
        )
    await world.restart()
    kept = world.rows("SELECT * FROM feedback")
    assert {(row["user"], row["message_id"]): row["value"] for row in kept} == {
        ("U0ALICE", answer_id): -1,
        ("U0BOB", answer_id): -1,
        ("U0CAROL", answer_id): 1,
    }
    assert world.whispers("bob") == [strings.FEEDBACK_THANKS]


async def test_the_footer_shows_model_time_and_tokens(world: World) -> None:
    world.say("Four words of answer.")
    thread = await world.start("Count.")
    await world.answered(thread)
    (answer,) = world.answers(thread)
    label, seconds, tokens = below(answer).split(" · ")
    assert label == "Demo: Quick"
    assert (seconds.split()[1], tokens.split()[1]) == ("s", "tokens")
    row = world.ended(thread)[0]
    assert (
        int(tokens.split()[0].replace(",", "")) == row["prompt_tokens"] + row["completion_tokens"]
    )
    assert shown(answer) == "Four words of answer."


def test_the_footer_shows_the_cost_if_the_provider_reports_it() -> None:
    answer = Answer("a", "c", 2, "q", Status.RUNNING, 1)
    result = AnswerResult(Status.DONE, "Done.", usage=Usage(1200, 34, cost=0.00213), seconds=2.04)
    (facts, *_) = answer_footer.answer_footer(answer, result, "Some model", 3, True)
    assert (
        facts["elements"][0]["text"]
        == "Some model · 2.0 s · 1,234 tokens · $0.0021 · 3 messages left"
    )


async def test_the_footer_announces_the_last_ten_messages(worlds: WorldFactory) -> None:
    async with worlds(bobbin_max_messages=16) as world:
        thread = await world.start("The first question.")
        await world.answered(thread)
        for number in range(2, 9):
            await world.slack.conversations.say("alice", "general", f"Question {number}.", thread)
            await world.answered(thread, number)
        announced = [
            re.findall(r"\d+ messages? left|this chat is full", below(message))
            for message in world.answers(thread)
        ]
        counted = [[f"{left} messages left"] for left in (10, 8, 6, 4, 2)]
        assert announced == [[], [], *counted, ["this chat is full"]]
