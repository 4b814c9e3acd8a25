"""Chats are erased while their answers are being written, and while others are served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.chats.retention import Eraser
from bot.chats.summarizer import SUMMARY_INSTRUCTION
from bot.chats.titles import TITLE_INSTRUCTION
from bot.domain import User
from bot.sandbox.models.scripts import ModelScript, text_of, words
from bot.sandbox.user_actions.conversations import Upload
from bot.usage.limits import Scope, parse_budget
from storage.erasure import Erasure, Selection
from storage.statements.quotes import ERASED_TEXT
from storage.tables import metadata
from tests.handlers.conftest import WorldFactory
from tests.handlers.scripted_models import scripted_world
from tests.handlers.shared_files import TEXT_MODEL, VISION_MODEL
from tests.handlers.test_ask_another import ask_another, new_threads
from tests.handlers.test_header_menu import choose
from tests.handlers.test_said_in_between import say
from tests.handlers.world import World
from tests.providers.scripted_server import (
    DONE,
    ReceivedRequest,
    ResponseWriter,
    delta,
    streaming,
)

BOBS = "zanzibar"
"""A word of everything that bob says."""
BOBS_FILE = Upload("bobs.txt", f"In {BOBS} it rains.".encode(), "text/plain")
LONG = " ".join(map(str, range(400)))


INSTRUCTIONS = (TITLE_INSTRUCTION, SUMMARY_INSTRUCTION)


def quoting(asked: Any) -> ModelScript:
    """A model whose titles and summaries repeat what they are based on, and whose answers don't."""
    texts = [text_of(each) for each in asked.messages]
    if texts[0] in INSTRUCTIONS:
        return ModelScript(words(" ".join(" ".join(texts[1:]).split())))
    if "at length" in texts[-1]:
        return ModelScript(words(LONG), rate=2)  # until it is stopped
    return ModelScript(words("Fine."))


async def spread_words(world: World) -> str:
    """Bob's words in chats of alice: gives the thread of one in which she waits for a long answer."""
    world.models.answer_with("*", quoting)
    root = await world.slack.conversations.say("bob", "general", f"To {BOBS}!")
    await world.ask("What does he mean?", thread=root)
    await say(world, "bob", f"The real {BOBS}.", root, files=[BOBS_FILE])
    await world.choose(root)
    await world.answered(root)
    await world.slack.conversations.say("bob", "general", f"{BOBS} it is.", root)
    await world.answered(root, 2)
    await world.idle()
    await choose(world, root, "continue")
    await world.until(
        lambda: world.rows(
            "SELECT 1 FROM chats WHERE continues <> '' AND context LIKE ?", f"%{BOBS}%"
        ),
        "the summary",
    )
    bobs = await world.start(f"Where is {BOBS}?", "bob", model=TEXT_MODEL)
    await world.answered(bobs)
    known = {root.ts for root in new_threads(world)}
    await ask_another(world, world.answers(bobs)[0], "alice", f"openai:{VISION_MODEL}")
    await world.until(lambda: {each.ts for each in new_threads(world)} - known, "the branch")
    other = await world.slack.conversations.say("bob", "general", f"Who knows {BOBS}?")
    await world.ask("I have not chosen a model.", thread=other)
    await world.until(
        lambda: world.rows("SELECT 1 FROM questions WHERE context LIKE ?", f"%knows {BOBS}%"),
        "it is read",
    )
    await world.idle()
    await world.slack.conversations.say("alice", "general", "Now at length!", root)
    await world.until(lambda: len(world.answers(root)) == 3, "the first words")
    return root


async def test_nothing_of_an_erased_person_is_left_in_chats_of_others(worlds: WorldFactory) -> None:
    """In threads that were read, questions, continuations, titles, and answers that are being written."""
    async with worlds() as world:
        root = await spread_words(world)
        titles = str(world.rows("SELECT title FROM chats WHERE branch_of <> ''"))
        assert BOBS in titles
        assert world.bot is not None
        bob = User(world.slack.workspace.team_id, world.slack.workspace.user("bob").id)
        await Eraser(Erasure(world.bot.database)).erase(Selection(user=bob))
        await world.answered(root, 3)
        await world.idle()
        for table in metadata.tables:
            rows = world.rows(f'SELECT * FROM "{table}"')
            left = [row for row in rows if BOBS in str(dict(row)) or bob.id in str(dict(row))]
            assert not left, table
        assert [row["text"] for row in world.messages(root)[:4]] == [
            "What does he mean?", "Fine.", ERASED_TEXT, "Fine.",
        ]  # fmt: skip
        ends = world.rows("SELECT ending FROM answers ORDER BY admitted_at DESC LIMIT 1")
        assert ends[0]["ending"] == "stopped"


async def test_the_answer_of_an_erased_chat_ends_and_nothing_fails(worlds: WorldFactory) -> None:
    async with worlds() as world:
        world.say(LONG, rate=2)
        thread = await world.start("How many?")
        await world.until(
            lambda: world.rows("SELECT 1 FROM answers WHERE state = 'running'"), "the answer runs"
        )
        assert world.bot is not None
        alice = User(world.slack.workspace.team_id, world.slack.workspace.user("alice").id)
        await Eraser(Erasure(world.bot.database)).erase(Selection(user=alice))
        assert world.chats() == []
        await world.until(lambda: not world.bot or not world.bot.engine.running, "nothing runs")
        world.say("Two.")
        again = await world.start("And now?", "bob")
        assert (await world.answered(again))[0] == "Two."
        await world.slack.conversations.say("alice", "general", "Still there?", thread)
        await world.idle()
        assert world.rows("SELECT count(*) AS n FROM chats")[0]["n"] == 1


async def test_a_person_erased_during_an_answer_gets_no_new_rows(worlds: WorldFactory) -> None:
    """In somebody else's chat: what the model was asked is charged to nobody."""
    async with worlds(bobbin_budget_user=parse_budget(Scope.USER, "1M tokens/month")) as world:
        thread = await world.start("Hello?")
        await world.answered(thread)
        await world.idle()
        world.say(LONG, rate=2)
        await world.slack.conversations.say("bob", "general", "And how many?", thread)
        await world.until(lambda: len(world.answers(thread)) == 2, "the first words")
        assert world.bot is not None
        bob = User(world.slack.workspace.team_id, world.slack.workspace.user("bob").id)
        await Eraser(Erasure(world.bot.database)).erase(Selection(user=bob))
        await world.answered(thread, 2)
        await world.idle()
        calls = world.rows("SELECT outcome, estimated_tokens > 0 AS counts FROM ledger")
        assert {"outcome": "stopped", "counts": 1} in calls
        for table in metadata.tables:
            assert bob.id not in str(world.rows(f'SELECT * FROM "{table}"')), table


@pytest.mark.parametrize("making", [TITLE_INSTRUCTION, SUMMARY_INSTRUCTION])
@pytest.mark.parametrize("quoted", ["before", "since"])
async def test_no_title_or_summary_being_written_keeps_what_is_erased_meanwhile(
    worlds: WorldFactory, making: str, quoted: str
) -> None:
    """Bob said it in the thread that alice asked about, before or after her question."""
    erase: list[Callable[[], Awaitable[None]]] = []

    async def answer(received: ReceivedRequest, out: ResponseWriter) -> None:
        texts = [str(each["content"]) for each in received.body["messages"]]
        if texts[0] == making and erase:
            await erase.pop()()
        said = "Fine." if texts[0] not in INSTRUCTIONS else " ".join(" ".join(texts[1:]).split())
        await streaming(delta(said), delta(finish="stop"), DONE)(received, out)

    async with scripted_world(worlds, answer, title=answer) as (world, _):
        bot, bob = world.bot, world.slack.workspace.user("bob").id
        assert bot is not None
        eraser, user = Eraser(Erasure(bot.database)), User(world.slack.workspace.team_id, bob)

        async def erase_bob() -> None:
            await eraser.erase(Selection(user=user))

        erase.append(erase_bob)
        words = {"before": "Hello.", "since": "Hello.", quoted: f"To {BOBS}!"}
        root = await world.slack.conversations.say("bob", "general", words["before"])
        await world.ask("What does he mean?", thread=root)
        await say(world, "bob", words["since"], root)
        await world.choose(root)
        await world.answered(root)
        await world.idle()
        await choose(world, root, "continue")
        continued = "SELECT 1 FROM chats WHERE continues <> '' AND context IS NOT NULL"
        await world.until(lambda: world.rows(continued), "the summary")
        await world.idle()
        assert not erase
        for table in metadata.tables:
            rows = world.rows(f'SELECT * FROM "{table}"')
            left = [row for row in rows if BOBS in str(dict(row)) or bob in str(dict(row))]
            assert not left, table
