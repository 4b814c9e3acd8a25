"""A process may stand still in the middle of a press for longer than its claim lasts, while another one handles it.

What it still does afterwards changes nothing, since every press has its effect in the database once.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bot import strings
from bot.sandbox.journal import Delivery
from bot.sandbox.models.scripts import ModelScript
from tests.handlers.test_first_presses import CASES, ENDLESS, Case, FirstPress
from tests.handlers.world import MODEL, World
from tests.slow import slow_after

STORED = ("chats", "messages", "answers", "questions", "feedback", "people", "tool_calls")
CHANGING = [case for case in CASES if case.name != "dialog"]
"""The presses: a submission is not claimed, since its request is unique in the database."""


def last_press(world: World) -> Delivery:
    return [each for each in world.slack.journal.deliveries if each.kind == "interactive"][-1]


async def handle_again(world: World, press: Delivery) -> None:
    """As the process does that had claimed it first."""
    await world.execute("DELETE FROM done_once")
    await world.slack.dispatcher.request(press.kind, press.name, press.payload)


def stored(world: World) -> dict[str, list[dict[str, Any]]]:
    """All that is stored but times."""
    return {
        table: [
            {name: value for name, value in row.items() if not name.endswith("_at")}
            for row in map(dict, world.rows(f"SELECT * FROM {table}"))
        ]
        for table in STORED
    }


@pytest.mark.parametrize("case", slow_after(5, CHANGING), ids=lambda case: case.name)
async def test_a_press_that_is_handled_late_changes_nothing(world: World, case: Case) -> None:
    world.forgive("exchanged_trigger_id")  # Slack opens one dialog for a press
    first = FirstPress(world, case.action_id, case.press)
    await case.appears(world)
    await world.until(lambda: first.task is not None and first.task.done(), "the press")
    await world.until(lambda: case.works(world), f"what {case.name} is for")
    await world.idle()
    before = stored(world)
    await handle_again(world, last_press(world))
    await world.idle()
    assert stored(world) == before


async def test_a_stop_that_is_handled_late_stops_no_later_answer(world: World) -> None:
    world.models.queue(
        MODEL,
        ModelScript(["Never", " said."], times=(0.0, ENDLESS)),
        ModelScript(["Still", " being said."], times=(0.0, ENDLESS)),
    )
    thread = await world.start("A question.")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread)
    press = last_press(world)
    await world.slack.conversations.say("alice", "general", "Another one.", thread)
    await world.until(lambda: len(world.answers(thread)) == 2, "the next answer")
    await handle_again(world, press)
    asked = "SELECT stop_source FROM answers ORDER BY number"
    assert [row["stop_source"] is None for row in world.rows(asked)] == [False, True]
    await world.until(lambda: world.stop_buttons(thread), "the button again")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread, 2)


async def test_a_choice_that_is_handled_late_says_nothing_and_another_choice_why(
    world: World,
) -> None:
    """Its asker has what they chose; who presses another model in time is told that it was too late."""
    thread = await world.start("A question.")
    await world.answered(thread)
    await world.idle()
    press = last_press(world)
    await handle_again(world, press)
    await world.idle()
    assert world.whispers("alice") == []
    other = copy.deepcopy(press.payload)
    other["actions"][0]["selected_option"]["value"] = "openai:demo/storyteller"
    await world.execute("DELETE FROM done_once")
    await world.slack.dispatcher.request(press.kind, press.name, other)
    await world.until(lambda: world.whispers("alice"), "the reason")
    assert world.whispers("alice") == [strings.ALREADY_STARTED]
