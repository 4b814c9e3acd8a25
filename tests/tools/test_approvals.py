"""What may happen while an answer waits for an approval, through the whole product."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.chats.retention import Eraser
from bot.config.chats import StreamMode
from bot.domain import User
from bot.tools.config import parse_tool_config
from storage.engine.database import Database
from storage.engine.types import utc_now
from storage.erasure import Erasure, Selection
from tests import services
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.replicas import two_replicas
from tests.handlers.test_first_presses import FirstPress, pressing
from tests.handlers.world import World, shown
from tests.slow import slow_after
from tests.tools.servers import CountingServer
from tests.tools.talk import asking, calling, results, script, states, tooled, until_parked


@pytest.fixture
def url(spare_postgresql: services.SpareDatabase) -> Iterator[str]:
    yield spare_postgresql.take()
    spare_postgresql.give_back()


async def parked(world: World, text: str = "Add x.", *, calls: int = 1) -> str:
    """A thread whose answer waits for so many decisions."""
    adds = [("add", {"text": f"{text} {number}"}) for number in range(calls)]
    script(world, calling(*adds, saying="I add."), "Finished.")
    thread = await world.start(text)
    await world.until(lambda: len(asking(world, thread)) == calls, "the questions")
    await until_parked(world)
    assert [shown(message) for message in world.answers(thread)] == ["I add."]
    assert not any(message.streaming for message in world.answers(thread)), "nothing comes for now"
    return thread


async def about_to_call(world: World) -> str:
    """A thread in which one answer has ended; for the next one the model calls a tool."""
    world.say("Hello.")
    thread = await world.start("Hello?")
    await world.answered(thread)
    await world.idle()
    script(world, calling(("add", {"text": "x"})), "Added.")
    return thread


def writing(world: World, thread: str) -> bool:
    """Whether the thread says that an answer is being written."""
    state = world.slack.workspace.thread_state("C0GENERAL", thread)
    status = world.slack.agent_sessions.status("general", thread)
    return bool(status) or state.session == "processing"


@pytest.mark.postgres
@pytest.mark.redis
async def test_presses_in_two_replicas_at_once_count_once(
    tmp_path: Path, log: io.StringIO, url: str, redis_url: str
) -> None:
    """Each press arrives in both; the first decision counts, and either replica continues, with one effect each."""
    server = CountingServer(tmp_path / "effects")
    async with server.over_http() as address:
        tools = parse_tool_config(json.dumps({"mcpServers": {"web": {"url": address}}}), {})
        more = {"tools": tools, "redis_url": SecretStr(redis_url)}
        async with two_replicas(tmp_path, log, url, **more) as world:
            thread = await parked(world, "Both", calls=2)
            first, second = asking(world, thread)
            press = world.slack.interactions.press
            await asyncio.gather(
                *(press("alice", first, "tool_allow_once") for _ in range(3)),
                *(press("bob", second, "tool_allow_always") for _ in range(2)),
                press("alice", second, "tool_deny"),
            )
            (answer,) = await world.answered(thread)
            await world.idle()

            assert answer == "I add.\n\nFinished."
            assert server.effects == ["add Both 0"]
            assert [result.partition(" ")[0] for result in results(world)] == ["Added", "[The"]
            assert not asking(world, thread)
            assert world.rows("SELECT 1 FROM tool_grants") == []
            assert len(world.rows("SELECT 1 FROM ledger WHERE kind = 'answer'")) == 2


@pytest.mark.parametrize(
    "fault",
    slow_after(1, [{"mode": "hang", "seconds": 3_600.0}, {"mode": "status", "status": 503}]),
)
async def test_the_next_question_is_asked_even_if_no_decision_can_be_shown(
    worlds: WorldFactory, tmp_path: Path, fault: dict[str, Any]
) -> None:
    async with tooled(worlds, tmp_path, bobbin_stream=StreamMode.NATIVE) as (world, server):
        adds = [calling(("add", {"text": text})) for text in ("x", "y", "z")]
        script(world, *adds, "Finished.")
        thread = await world.start("Add them.")
        pressed: list[str] = []
        for number in range(3):
            message = await world.until(
                lambda: next(each for each in asking(world, thread) if each.ts not in pressed),
                f"question {number}",
            )
            pressed.append(message.ts)
            world.slack.faults.add("chat.update", times=-1, **fault)
            await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.until(lambda: server.effects == ["add x", "add y", "add z"], "the calls")
        world.slack.faults.clear()
        await world.until(lambda: not asking(world, thread), "what was decided is shown")
        await world.answered(thread)


@pytest.mark.parametrize(
    ("button", "effects"),
    [("tool_allow_once", ["add x"]), ("tool_allow_always", ["add x"]), ("tool_deny", [])],
)
async def test_a_press_in_the_first_moment_counts(
    worlds: WorldFactory, tmp_path: Path, button: str, effects: list[str]
) -> None:
    async with tooled(worlds, tmp_path) as (world, server):
        script(world, calling(("add", {"text": "x"})), "Finished.")
        first = FirstPress(world, button, pressing(button))
        thread = await world.start("Add x.")
        assert await world.answered(thread) == ["Finished."]
        assert first.task is not None
        await world.until(lambda: not asking(world, thread), "what was decided is shown")
        assert server.effects == effects
        assert len([m for m in world.replies(thread) if "web/add" in str(m.blocks)]) == 1


async def test_what_happens_while_an_answer_waits_is_in_order(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """A further question waits behind it and says so; the Stop button ends it and lets the next one begin.

    Meanwhile nothing says that the bot is writing, although it was shown before.
    """
    timing = patient_timing(session_start_delay=0.0)
    async with tooled(worlds, tmp_path, timing=timing) as (world, server):
        thread = await parked(world)
        await world.until(lambda: not writing(world, thread), "nothing says that it is writing")
        assert world.slack.workspace.thread_state("C0GENERAL", thread).statuses
        (header,) = world.stop_buttons(thread)
        further = await world.slack.conversations.say("bob", "general", "And then?", thread)
        await world.until(
            lambda: world.slack.workspace.message("C0GENERAL", further).reactions, "it is queued"
        )
        await world.slack.interactions.press("alice", header, "stop_answer")
        await world.answered(thread, 2)
        await world.idle()

        assert server.effects == []
        assert shown(world.answers(thread)[0]).startswith("I add.")
        assert not asking(world, thread)
        assert not world.slack.workspace.message("C0GENERAL", further).reactions
        states = [row["state"] for row in world.rows("SELECT state FROM tool_calls")]
        assert states == ["denied"]


@pytest.mark.parametrize("how", ["while it waits", "during a call"])
async def test_the_asker_is_erased(worlds: WorldFactory, tmp_path: Path, how: str) -> None:
    """The answer ends as one that was stopped, and the chat of somebody else goes on."""
    waits = how == "while it waits"
    rules = {} if waits else {"allow": ["add"]}
    async with tooled(worlds, tmp_path, rules) as (world, server):
        server.pace = 600.0  # it goes on until the answer is stopped
        script(world, "Hello.")
        thread = await world.start("Hi?")
        await world.answered(thread)
        script(world, calling(("add", {"text": "x"}), saying="I add."), "Here I am.")
        await world.slack.conversations.say("bob", "general", "Add x.", thread)
        if waits:
            await world.until(lambda: asking(world, thread), "the question")
            await until_parked(world)
        else:
            await world.until(lambda: server.under_way, "the call")
        await world.slack.conversations.say("alice", "general", "Are you there?", thread)

        database = Database.open(f"sqlite:///{world.database}")
        bob = User(world.slack.workspace.team_id, world.slack.workspace.user("bob").id)
        await Eraser(Erasure(database)).erase(Selection(user=bob))
        await database.close()

        answers = await world.answered(thread, 3)
        assert "_stopped_" in answers[1]
        assert answers[2] == "Here I am."
        await world.until(lambda: not asking(world, thread), "no buttons are left")
        await world.idle()
        assert not (waits and server.effects)
        assert states(world) == ["denied" if waits else "unknown"]
        kept = world.rows("SELECT arguments, asker, decided_by FROM tool_calls")
        assert [set(row.values()) <= {"{}", None} for row in kept] == [True]
        for table in ("ledger", "usage_days"):
            assert bob.id not in [row["user"] for row in world.rows(f"SELECT user FROM {table}")]
        assert "add" not in str(world.rows("SELECT detail FROM answer_steps"))
        assert not [line for line in world.lines() if line.get("level") == "error"]


@pytest.mark.parametrize("how", ["erased", "removed"])
async def test_a_chat_that_goes_while_an_answer_waits_makes_no_call_unasked(
    worlds: WorldFactory, tmp_path: Path, how: str
) -> None:
    """What was erased asks no more, or a press on it is told so; where the bot was removed, the decision counts."""
    async with tooled(worlds, tmp_path) as (world, server):
        world.forgive("not_in_channel", "channel_not_found", "not_authorized")
        world.leave_unfinished()  # the stream of the answer is Slack's to end
        thread = await parked(world)
        (message,) = asking(world, thread)
        if how == "erased":
            database = Database.open(f"sqlite:///{world.database}")
            await Eraser(Erasure(database)).erase(Selection(before=utc_now() + timedelta(days=1)))
            await database.close()
            if asking(world, thread):  # else it already says that the answer has ended
                await world.slack.interactions.press("alice", message, "tool_allow_once")
                await world.until(lambda: world.whispers("alice"), "it is told")
            await world.until(lambda: not asking(world, thread), "no buttons are left")
        else:
            await world.slack.conversations.leave(world.slack.bot_user.id, "general")
            await world.slack.interactions.press("alice", message, "tool_deny")
            await world.until(lambda: world.ended(thread), "the answer ends")
        await world.idle()
        assert server.effects == []


async def test_every_end_of_an_answer_ends_its_calls(worlds: WorldFactory, tmp_path: Path) -> None:
    """By an error that nobody has foreseen, too: nothing is left to be pressed, and Retry knows what became of each."""
    async with tooled(worlds, tmp_path) as (world, server):
        world.forgive_logger("bot.answers.generator")
        thread = await parked(world, calls=4)
        await world.execute("UPDATE tool_calls SET arguments = 'no JSON' WHERE number = 1")
        first, broken, allowed, _ = asking(world, thread)
        for message in (allowed, broken, first):
            await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.until(lambda: world.ended(thread), "it has failed")
        await world.until(lambda: not asking(world, thread), "no buttons are left")
        await world.idle()
        assert states(world) == ["done", "unknown", "denied", "denied"]
        assert server.effects == ["add Add x. 0"]
        steps = world.rows("SELECT status FROM answer_steps WHERE kind = 'tool' ORDER BY number")
        assert [row["status"] for row in steps] == states(world)
        told = ("and done.", "whether this call took effect", *["The answer ended before"] * 2)
        blocks = [str(message.blocks) for message in world.replies(thread)]
        assert [sum(text in each for each in blocks) for text in told] == [1, 1, 2, 2]

        await world.slack.interactions.press("alice", world.answers(thread)[-1], "retry_answer")
        await world.until(lambda: "Finished." in str(world.answers(thread)), "the retry")
        assert [told.split()[0] for told in results(world)] == ["Added", "[The", "[The", "[The"]
        await world.idle()


@pytest.mark.parametrize("first", ["press", "stop"])
async def test_a_press_beside_a_stop_shows_what_was_decided(
    worlds: WorldFactory, tmp_path: Path, first: str
) -> None:
    async with tooled(worlds, tmp_path) as (world, server):
        thread = await parked(world)
        (message,) = asking(world, thread)
        works = [
            world.slack.interactions.press("alice", message, "tool_allow_once"),
            world.slack.conversations.say("alice", "general", "stop", thread),
        ]
        await asyncio.gather(*(works if first == "press" else reversed(works)))
        await world.until(lambda: world.ended(thread), "its end")
        await world.idle()
        assert asking(world, thread) == []
        told = {"done": "and done", "unknown": "don't know", "denied": "The answer ended before"}
        (state,) = states(world)
        assert (state == "denied") is (not server.effects)
        assert told[state] in str(world.replies(thread))


async def test_a_question_on_its_way_when_a_process_ends_is_asked_once(
    worlds: WorldFactory, tmp_path: Path
) -> None:
    """The dead process's message comes late; only one message asks, and none keeps its buttons."""
    timing = patient_timing(late_effect=3.0, chore_pause=0.05, slack_call_timeout=1.0)
    async with tooled(worlds, tmp_path, timing=timing) as (world, server):
        thread = await about_to_call(world)
        fault = world.slack.faults.add("chat.postMessage", "slow", seconds=3_600.0)
        await world.slack.conversations.say("alice", "general", "Add x.", thread)
        await world.until(lambda: fault.hits, "it is being asked")
        await world.restart()
        later = "due_at > strftime('%Y-%m-%d %H:%M:%f000', 'now', '+0.3 seconds')"
        waits = f"SELECT 1 FROM chores WHERE kind = 'show_approvals' AND worker IS NULL AND {later}"
        await world.until(lambda: world.rows(waits) or asking(world, thread), "the next try")
        world.slack.faults.release()
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.answered(thread, 2)
        await world.idle()
        assert asking(world, thread) == []
        assert len([m for m in world.replies(thread) if "Allowed by" in str(m)]) == 1
        assert server.effects == ["add x"]


@pytest.mark.parametrize(
    "method",
    slow_after(
        2,
        [
            "conversations.replies",
            "assistant.threads.setStatus",
            "agents.sessions.setStatus",
            "users.info",
            "reactions.add",
            "chat.postEphemeral",
        ],
    ),
)
@pytest.mark.parametrize(
    "fault",
    [{"mode": "hang", "seconds": 3_600.0}, {"mode": "status", "status": 503}],
    ids=["hangs", "fails"],
)
async def test_nothing_else_that_fails_keeps_an_approval_back(
    worlds: WorldFactory, tmp_path: Path, method: str, fault: dict[str, Any]
) -> None:
    """The question, its press, the call and the answer, and the next question, while a method works no more."""
    timing = patient_timing(status_end_timeout=0.05)
    async with tooled(worlds, tmp_path, timing=timing) as (world, server):
        world.leave_unfinished()  # what removes the signs fails, too
        world.slack.faults.add(method, times=-1, **fault)
        script(world, calling(("add", {"text": "x"}), saying="I add."), "Added.")
        thread = await world.start("Add x.")
        for number, text in enumerate(("x", "y"), 1):
            (message,) = await world.until(lambda: asking(world, thread), f"question {number}")
            await world.slack.interactions.press("alice", message, "tool_allow_once")
            await world.until(lambda: not asking(world, thread), "the decision is shown")
            assert (await world.answered(thread, number))[-1].endswith("Added.")
            assert server.effects == [f"add {each}" for each in "xy"[:number]]
            if text == "x":
                script(world, calling(("add", {"text": "y"}), saying="I add."), "Added.")
                await world.slack.conversations.say("alice", "general", "Add y.", thread)
        world.slack.faults.clear()


@pytest.mark.parametrize(
    "fault",
    slow_after(
        2,
        [
            {"mode": "hang", "seconds": 3_600.0, "after_effect": True},
            {"mode": "status", "status": 503, "after_effect": True},
            {"mode": "hang", "seconds": 3_600.0},
            {"mode": "status", "status": 503},
            {"mode": "lost"},
            {"mode": "garbage"},
            {"mode": "garbage", "after_effect": True},
            {"mode": "ratelimited", "retry_after": 1},
        ],
    ),
    ids=str,
)
async def test_a_question_whose_post_fails_is_asked_once(
    worlds: WorldFactory, tmp_path: Path, fault: dict[str, Any]
) -> None:
    """Whether or not the posts took effect: one message asks, and the call is made once."""
    timing = patient_timing(late_effect=0.5, chore_pause=0.05, slack_call_timeout=1.0)
    async with tooled(worlds, tmp_path, timing=timing) as (world, server):
        thread = await about_to_call(world)
        failing = world.slack.faults.add("chat.postMessage", times=2, **fault)
        await world.slack.conversations.say("alice", "general", "Add x.", thread)
        (message,) = await world.until(lambda: asking(world, thread), "the question")
        await world.slack.interactions.press("alice", message, "tool_allow_once")
        await world.answered(thread, 2)
        await world.idle()
        assert failing.hits
        assert asking(world, thread) == []
        assert len([each for each in world.replies(thread) if "Allowed by" in str(each)]) == 1
        assert server.effects == ["add x"]
