"""Chats are erased while their answers are being written, and while others are served."""

from __future__ import annotations

from bot.chats.retention import Eraser
from bot.domain import User
from storage.erasure import Erasure, Selection
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
