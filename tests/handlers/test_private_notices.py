"""Private notices: what is told once is neither repeated in doubt nor given up while Slack refuses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World

EPHEMERAL = "chat.postEphemeral"


async def _message_for_a_full_chat(world: World) -> None:
    thread = await world.start("One and two.")
    await world.answered(thread)
    await world.idle()
    await world.slack.conversations.say("alice", "general", "Three is too many.", thread)


async def _press(world: World) -> None:
    thread = await world.start("One and two.")
    await world.answered(thread)
    await world.idle()
    await world.slack.interactions.press("alice", world.answers(thread)[0], "feedback")


@pytest.mark.parametrize("act", [_message_for_a_full_chat, _press])
@pytest.mark.parametrize(
    ("fault", "calls"),
    [({"mode": "lost"}, 1), ({"mode": "status", "status": 503}, 2), ({"mode": "ratelimited"}, 2)],
    ids=["no response", "fails", "limited"],
)
async def test_a_notice_is_told_once(
    worlds: WorldFactory,
    act: Callable[[World], Awaitable[None]],
    fault: dict[str, Any],
    calls: int,
) -> None:
    """A call without a response may have taken effect, as here."""
    async with worlds(bobbin_max_messages=2) as world:
        world.slack.faults.add(EPHEMERAL, **fault)
        await act(world)
        await world.until(lambda: world.whispers("alice"), "the notice")
        await world.until(lambda: len(world.slack.calls_of(EPHEMERAL)) == calls, "its calls")
        await world.idle()
        assert (len(world.whispers("alice")), len(world.slack.calls_of(EPHEMERAL))) == (1, calls)
