"""Chats are erased while their answers are being written, and while others are served."""

from __future__ import annotations

from bot.chats.retention import Eraser
from bot.domain import User
from bot.usage.limits import Scope, parse_budget
from storage.erasure import Erasure, Selection
from storage.tables import metadata
from tests.handlers.conftest import WorldFactory


async def test_the_answer_of_an_erased_chat_ends_and_nothing_fails(worlds: WorldFactory) -> None:
    async with worlds() as world:
        world.say(" ".join(map(str, range(400))), rate=40)
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


async def test_who_is_erased_in_mid_answer_gets_no_new_rows(worlds: WorldFactory) -> None:
    """In a chat of somebody else: what the model was asked counts as nobody's."""
    async with worlds(bobbin_budget_user=parse_budget(Scope.USER, "1M tokens/month")) as world:
        thread = await world.start("Hello?")
        await world.answered(thread)
        await world.idle()
        world.say(" ".join(map(str, range(400))), rate=40)
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
