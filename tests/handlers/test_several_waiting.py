"""If several questions wait at the same time, each answer says which one it answers."""

from __future__ import annotations

import pytest

from bot.config.chats import StreamMode
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import below
from tests.slow import slow_after

LONG = " ".join(f"word{n}" for n in range(150))


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_answers_name_their_questions_when_several_waited(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    """Complete and failed answers. A question that waited alone needs no such link."""
    async with worlds(bobbin_stream=mode) as world:
        world.say(LONG, rate=100)
        thread = await world.start("The first.")
        await world.until(lambda: world.answers(thread), "the first words")
        world.say("Second.")
        world.fail("http", status=402)
        world.say("Fourth.")
        asked = ["And <pears>?", "What | is that?", "The fourth, " + "with many words " * 10]
        stamps = [
            await world.slack.conversations.say("alice", "general", text, thread) for text in asked
        ]
        await world.answered(thread, 4)
        await world.idle()
        feet = [str(below(answer)) for answer in world.answers(thread)]
        assert "answers <" not in feet[0]
        for foot, ts in zip(feet[1:], stamps, strict=True):
            assert f"/p{ts.replace('.', '')}" in foot
        assert "|“And &lt;pears&gt;?”>" in feet[1]
        assert "|“What ¦ is that?”>" in feet[2]
        assert "|“The fourth, with many words with" in feet[3]

        world.say(LONG, rate=100)
        await world.slack.conversations.say("alice", "general", "Alone.", thread)
        await world.until(lambda: len(world.answers(thread)) == 5, "the first words")
        await world.slack.conversations.say("alice", "general", "Behind it.", thread)
        await world.answered(thread, 6)
        await world.idle()
        assert "answers <" not in "".join(str(below(a)) for a in world.answers(thread)[4:])
