"""Effects happen in the model's order, and what models write and use is recorded unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.domain.tool_calls import ToolCall, parsed_arguments
from tests.api.conftest import Api, client, token_for
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.tools.talk import asking, calling, results, script, states, tooled, until_parked


async def test_effects_come_in_order_and_none_before_an_earlier_call_that_waits(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """Although the operator lets them run; read-only calls wait for nobody. Half a character does no harm."""
    async with tooled(worlds, tmp_path, {"allow": ["put"]}) as (world, server):
        server.pace = 0.05
        turn = [("put", {"text": "a"}), ("put", {"text": "b"}), ("add", {"text": "c \ud83d"}),
                ("put", {"text": "d"}), ("add", {"text": "e"}), ("look", {"at": "f"})]  # fmt: skip
        script(world, calling(*turn), calling(("look", {"at": "g"})), "All is done.")
        thread = await world.start("Do it.")
        first, second = await world.until(
            lambda: (found := asking(world, thread))[1:] and found, "both questions"
        )
        assert server.effects == ["look f", "put a", "put b"]
        token = await token_for(world)
        async with client(world, token) as http:
            api = Api(http, token)
            chat = (await api.ask("GET", "/chat/conversations"))["conversations"][0]["id"]
            approvals = (await api.history(chat))["messages"][-1]["approvals"]
            assert [each["arguments"] for each in approvals] == [
                {"text": "c \ufffd"},
                {"text": "e"},
            ]

        await world.slack.interactions.press("alice", second, "tool_allow_once")
        await world.until(lambda: len(asking(world, thread)) == 1, "it counts")
        assert len(server.effects) == 3
        await world.slack.interactions.press("alice", first, "tool_allow_once")
        await world.answered(thread)
        assert server.effects[3:] == ["add c \ufffd", "put d", "add e", "look g"]
        assert server.most_at_once == 1
        assert results(world)[-1] == "There is g."

        await world.idle()
        calls = world.rows("SELECT outcome, estimated_tokens FROM ledger WHERE kind = 'answer'")
        assert [call["outcome"] for call in calls] == ["tools", "tools", "done"]
        (day,) = world.rows("SELECT SUM(answers) AS answers, SUM(calls) AS calls FROM usage_days")
        assert (day["answers"], day["calls"]) == (1, 4)


async def test_the_asker_is_asked_however_long_slack_fails_unless_it_refuses(
    worlds: WorldFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question is posted when Slack accepts messages again; if it never will, the call counts as denied."""
    monkeypatch.setattr("bot.answers.after_work.MAX_TRIES", 3)
    timing = patient_timing(chore_pause=0.005, sweep_interval=0.1, late_effect=0.01)
    async with tooled(worlds, tmp_path, timing=timing) as (world, server):
        world.forgive("service_unavailable", "is_archived")
        script(world, calling(("add", {"text": "x"})), "Added.")
        thread = await world.ask("Add x.")
        failing = world.slack.faults.add(
            "chat.postMessage",
            error="service_unavailable",
            channel="C0GENERAL",
            times=5,
        )
        await world.choose(thread)
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        assert failing.hits == 5
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.answered(thread)

        script(world, calling(("add", {"text": "y"})), "Not added.")
        world.slack.faults.add(
            "chat.postMessage", error="is_archived", channel="C0GENERAL", times=-1
        )
        await world.slack.conversations.say("alice", "general", "Add y.", thread)
        await world.answered(thread, 2)
        assert "could not be asked" in results(world)[-1]
        assert server.effects == ["add x"]
        world.slack.faults.clear()
        await world.idle()


async def test_a_call_that_cannot_be_asked_about_again_delays_nobody(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """The tool has changed since it was allowed, and Slack no longer accepts messages in the channel."""
    timing = patient_timing(sweep_interval=0.1)
    async with tooled(worlds, tmp_path, timing=timing) as (world, server):
        world.forgive("is_archived")
        script(world, calling(("add", {"text": "x"})), "Not added.")
        thread = await world.start("Add x.")
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await until_parked(world)
        server.redescribe_add("Adds a line, and mails it to everybody.")
        await world.restart()
        for method in ("chat.update", "chat.postMessage"):
            world.slack.faults.add(method, error="is_archived", channel="C0GENERAL", times=-1)
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.until(lambda: world.ended(thread), "its end")
        assert "could not be asked" in results(world)[-1]
        assert (states(world), server.effects) == (["denied"], [])
        world.slack.faults.clear()
        await world.idle()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", {}),
        ('{"t": "\\ud83d", "\\ude00": ["\\u0000", {"a": "\\udfff"}]}',
         {"t": "\ufffd", "\ufffd": ["\ufffd", {"a": "\ufffd"}]}),
        ('{"t": "\\ud83d\\ude00", "n": 1.5, "b": null}', {"t": "😀", "n": 1.5, "b": None}),
        ("[]", None),
        ('{"a": NaN}', None),
        ('{"a": 1e999}', None),
        ('{"a": %s}' % ("[" * 100 + "]" * 100), None),
        ('{"a": %s}' % ("[" * 100_000 + "]" * 100_000), None),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, None),
    ],
)  # fmt: skip
def test_arguments_are_values_that_can_be_written_anywhere(
    written: str, meant: dict[str, Any] | None
) -> None:
    """Or none at all."""
    call = ToolCall("c", "web__add", written)
    if meant is None:
        with pytest.raises(ValueError, match=r"."):
            parsed_arguments(call)
    else:
        assert parsed_arguments(call) == meant
