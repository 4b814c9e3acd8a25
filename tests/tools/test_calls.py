"""Tool calls in a thread, through the whole product: run, asked about, denied, stopped, and never made twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.sandbox.limits import Limits
from bot.sandbox.models.scripts import ModelScript, RawBytes
from bot.usage.limits import Budget, Period, Scope, Unit
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_steps import cards
from tests.handlers.world import shown
from tests.providers.scripted_server import delta
from tests.tools.talk import asking, calling, results, script, tooled

HALVES = ModelScript(
    [
        RawBytes(delta(tool_calls=[{"index": 0, "id": "c", "function": function}]))
        for function in (
            {"name": "web__look", "arguments": '{"at": "a \ud83d'},
            {"arguments": '\udc36 \ud83d"}'},
        )
    ],
    finish_reason="tool_calls",
)
"""A call whose arguments have a character in two halves, and half a character."""


async def test_reading_tools_run_by_themselves_and_their_results_are_data(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """Several at once; a large result is cut, a failure and an unknown name are reported, and nothing pings."""
    async with tooled(worlds, tmp_path) as (world, server):
        script(
            world,
            calling(("look", {"at": "a cat"}), ("big", {}), ("fail", {}), ("nonesuch", {}),
                    ("ping", {}), saying="Let me look."),
            HALVES,
            "There is a cat and a dog.",
        )  # fmt: skip
        thread = await world.start("What is there?")
        (answer,) = await world.answered(thread)

        assert answer == "Let me look.\n\nThere is a cat and a dog."
        assert sorted(server.effects) == ["look a cat", "look a 🐶 \ufffd"]
        first = [m for m in world.models.requests()[1].messages if m["role"] == "tool"]
        told = [str(m["content"]) for m in first]
        assert told[0] == "There is a cat."
        assert "20000 of 5000000 characters" in told[1]
        assert "no such thing" in told[2]
        assert "no such tool" in told[3]
        states = [
            row["state"]
            for row in world.rows("SELECT state FROM tool_calls ORDER BY round, number")
        ]
        assert states == ["done", "done", "failed", "failed", "done", "done"]
        assert not asking(world, thread)
        assert len(world.rows("SELECT 1 FROM ledger WHERE kind = 'answer'")) == 3
        await world.idle()
        opened = [str(card["details"]) for card in cards(world.answers(thread)[0])]
        assert '{"at": "a cat"}\n→ There is a cat.' in opened
        assert max(map(len, opened)) < 450
        assert not any("<!channel>" in details for details in opened)
        steps = world.rows("SELECT kind, name, status FROM answer_steps ORDER BY number")
        assert ("tool", "web/look", "done") in [tuple(step.values()) for step in steps]
        audits = [line for line in world.lines() if line.get("action") == "tool_called"]
        noted = sorted((line["tool"], line["outcome"]) for line in audits)
        assert noted == [("", "failed"), ("web/big", "done"), ("web/fail", "failed"),
                        ("web/look", "done"), ("web/look", "done"), ("web/ping", "done")]  # fmt: skip


async def test_the_asker_alone_decides_about_what_does_more_than_read(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """Allowed once, denied, allowed for the chat: each call has the decided effect, whoever else presses."""
    async with tooled(worlds, tmp_path) as (world, server):
        script(world, calling(("add", {"text": "one <!channel>"}), saying="I add it."), "Added.")
        thread = await world.start("Add one.")
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        assert server.effects == []
        assert "web/add" in str(message.blocks)
        sections = [b["text"] for b in message.blocks if b["type"] == "section"]
        assert [text["type"] for text in sections if "one <!channel>" in text["text"]] == [
            "plain_text"
        ]

        await world.slack.interactions.press("bob", message, "tool_allow_once")
        await world.until(lambda: world.whispers("bob"), "it is told who decides")
        assert server.effects == []
        await world.restart()
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        (answer,) = await world.answered(thread)
        assert answer == "I add it.\n\nAdded."
        assert server.effects == ["add one <!channel>"]
        assert results(world) == ["Added one <!channel>."]
        await world.until(lambda: "and done" in str(world.replies(thread)), "what became of it")

        script(world, calling(("add", {"text": "two"})), "Not added.")
        await world.slack.conversations.say("alice", "general", "Add two.", thread)
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await world.slack.interactions.press("alice", message, "tool_deny")
        await world.answered(thread, 2)
        assert "not allowed" in results(world)[-1]

        script(world, calling(("add", {"text": "three"})), "Added three.",
               calling(("add", {"text": "four"})), "Added four.",
               calling(("add", {"text": "five"})), "Added five.")  # fmt: skip
        await world.slack.conversations.say("alice", "general", "Add three.", thread)
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await world.slack.interactions.press("alice", message, "tool_allow_always")
        await world.answered(thread, 3)
        await world.slack.conversations.say("alice", "general", "Add four.", thread)
        await world.answered(thread, 4)
        assert server.effects[1:] == ["add three", "add four"]
        alice = world.slack.workspace.user("alice").id
        done = f"Allowed by <@{alice}>, and done."
        await world.until(
            lambda: sum(done in str(m.blocks) for m in world.replies(thread)) == 3, "by whom"
        )

        await world.slack.conversations.say("bob", "general", "Add five.", thread)
        (message,) = await world.until(lambda: asking(world, thread), "bob is asked himself")
        await world.slack.interactions.press("bob", message, "tool_allow_once")
        await world.answered(thread, 5)
        assert server.effects[-1] == "add five"
        await world.idle()
        audits = [line for line in world.lines() if line.get("action") == "tool_called"]
        assert [line["outcome"] for line in audits] == ["done", "denied", *["done"] * 3]
        assert {line["actor"] for line in audits} == {
            world.slack.workspace.user("alice").id, world.slack.workspace.user("bob").id,
        }  # fmt: skip


async def test_stop_ends_a_call_and_one_that_waits(worlds: WorldFactory, tmp_path: Path) -> None:
    """The server is told; calls that may have taken effect are unknown, and waiting calls are never made."""
    async with tooled(worlds, tmp_path, {"allow": ["hang"]}) as (world, server):
        script(world, calling(("hang", {}), saying="I try."))
        thread = await world.start("Hang.")
        await server.hanging.wait()
        await world.slack.conversations.say("alice", "general", "stop", thread)
        (answer,) = await world.answered(thread)
        await server.cancelled.wait()
        assert answer.startswith("I try.")
        await world.until(lambda: "don't know whether" in str(world.replies(thread)), "told")

        script(world, calling(("add", {"text": "x"}), saying="And now?"))
        await world.slack.conversations.say("alice", "general", "Add x.", thread)
        await world.until(lambda: asking(world, thread), "the question")
        await world.slack.conversations.say("alice", "general", "stop", thread)
        await world.answered(thread, 2)
        await world.until(lambda: not asking(world, thread), "no more buttons")
        assert server.effects == ["hang"]
        assert "And now?" in shown(world.answers(thread)[-1])
        await world.until(
            lambda: "answer ended before that, so" in str(world.replies(thread)), "why"
        )


async def test_a_call_without_a_decision_is_denied_and_calls_are_limited(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """The wait ends; a model that never stops calling tools is ended too."""
    timing = replace(patient_timing(), approval_life=0.5)
    async with tooled(worlds, tmp_path, timing=timing, bobbin_tool_steps=2) as (world, server):
        script(world, calling(("add", {"text": "x"})), "Nothing was added.")
        thread = await world.start("Add x.")
        await world.answered(thread)
        assert "did not decide" in results(world)[0]
        assert server.effects == []

        script(world, *[calling(("look", {"at": str(n)})) for n in range(4)], "Enough.")
        await world.slack.conversations.say("alice", "general", "Look for ever.", thread)
        await world.answered(thread, 2)
        assert [effect for effect in server.effects if effect.startswith("look")] == [
            "look 0",
            "look 1",
        ]
        assert world.models.requests()[-1].body["tool_choice"] == "none"


async def test_a_model_is_told_whether_a_broken_call_may_be_repeated(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """A read-only call may; before any other is repeated, the user must be told."""
    async with tooled(worlds, tmp_path, {"allow": ["hang"]}, bobbin_tool_timeout=0.5) as (world, _):
        script(world, calling(("hang_reading", {}), ("hang", {})), "Neither answered.")
        thread = await world.start("Hang twice.")
        await world.answered(thread)
        reading, writing = results(world)
        assert all(
            "did not answer in time" in told and "ell the user" in told for told in results(world)
        )
        assert "again does no harm" in reading
        assert "Do not call it again" in writing
        states = world.rows("SELECT state FROM tool_calls ORDER BY number")
        assert [row["state"] for row in states] == ["failed", "unknown"]


async def test_a_budget_that_is_used_up_between_turns_ends_the_answer(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """The calls of that turn are not made, the model isn't asked again, and every turn has been paid once."""
    budget = Budget(Scope.USER, 100_000, Unit.TOKENS, Period.MONTH)
    async with tooled(worlds, tmp_path, bobbin_budget_user=budget) as (world, server):
        script(world, calling(("add", {"text": "x"})),
               calling(("look", {"at": "x"}), ("add", {"text": "y"}), saying="And now"))  # fmt: skip
        thread = await world.start("Add x.")
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await world.until(lambda: world.rows("SELECT 1 FROM answers WHERE parked"), "it waits")
        assert [row["held"] for row in world.rows("SELECT held FROM spending")] == [0]
        await world.execute("UPDATE spending SET tokens = 99999")
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.answered(thread)
        sentence = "Your budget of 100k tokens/month is used up. It begins anew on "
        await world.until(lambda: sentence in str(world.answers(thread)[0].blocks), "why it ended")
        await world.idle()
        assert server.effects == ["add x"]
        paid = "SELECT outcome FROM ledger WHERE kind = 'answer'"
        assert [row["outcome"] for row in world.rows(paid)] == ["tools", "tools"]
        states = world.rows("SELECT state FROM tool_calls ORDER BY round, number")
        assert [row["state"] for row in states] == ["done", "failed", "failed"]
        assert "but it failed" not in str(world.replies(thread))  # nobody was asked for approval
        assert [row["held"] for row in world.rows("SELECT held FROM spending")] == [0]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_tool_that_has_changed_is_asked_about_again(
    worlds: WorldFactory, tmp_path: Path, kept: bool
) -> None:
    """An approval, once or for the chat, is valid for the definition that somebody saw.

    `kept`: whether the message that asked is still there.
    """
    async with tooled(worlds, tmp_path) as (world, server):
        script(world, calling(("add", {"text": "x"})), "Added.")
        thread = await world.start("Add x.")
        (first,) = await world.until(lambda: asking(world, thread), "the question")
        old = list(first.blocks)
        if not kept:
            world.forgive("message_not_found")
            await world.until(
                lambda: world.rows("SELECT 1 FROM tool_calls WHERE notice_ts IS NOT NULL"), "noted"
            )
            await world.execute("UPDATE tool_calls SET notice_ts = '1.1'")
        server.redescribe_add("Adds a line, and mails it to everybody.")
        pending = world.slack.dispatcher.pending
        await world.until(lambda: pending() == 0, "no event is lost with the process")
        await world.restart()

        await world.slack.interactions.press("alice", first, "tool_allow_always")

        (second,) = await world.until(
            lambda: [m for m in asking(world, thread) if m.blocks != old], "it is asked again"
        )
        assert (second.ts == first.ts) is kept, "no buttons are left that nobody may press"
        assert server.effects == []
        await world.slack.interactions.press("alice", second, "tool_allow_once")
        await world.answered(thread)
        assert server.effects == ["add x"]


async def test_everything_written_is_visible_before_the_approval_is_requested(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """To the last word, within Slack's rate limits, although nobody writes the answer while it waits."""
    said = "I would like to add a line that says what you have told me to add."
    async with tooled(worlds, tmp_path, limits=Limits()) as (world, _):
        script(world, replace(calling(("add", {"text": "x"}), saying=said), rate=20.0), "Added.")
        thread = await world.start("Add x.")
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        assert [shown(each) for each in world.answers(thread)] == [said]
        await world.slack.interactions.press("alice", message, "tool_deny")
        await world.answered(thread)
