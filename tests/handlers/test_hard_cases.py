"""Situations in which Slack bots are known to lose or repeat text or to hang, under Slack's real rate limits."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from bot.config.chats import StreamMode
from bot.sandbox.limits import Limits
from bot.sandbox.models.scripts import Fault, ModelScript, words
from tests.deadlines import WAIT_TIMEOUT
from tests.handlers.conftest import WorldFactory
from tests.handlers.long_texts import essay, marks
from tests.handlers.world import MODEL, World, elements, shown
from tests.local_http import local_client
from tests.slow import slow_after

READS = ("conversations.replies", "conversations.history", "conversations.info")
WRITES = (
    "chat.startStream",
    "chat.appendStream",
    "chat.stopStream",
    "chat.postMessage",
    "chat.update",
)
PARAGRAPH = " ".join(f"token{n}" for n in range(150))
LINES = "\n".join(f"Line {n} of the answer, q{n}." for n in range(30))
STRICT = Limits()


@pytest.mark.parametrize("text", slow_after(1, [PARAGRAPH, LINES]), ids=["one paragraph", "lines"])
async def test_a_growing_answer_costs_few_writes_and_no_reads(
    worlds: WorldFactory, text: str
) -> None:
    async with worlds(limits=STRICT) as world:
        world.reply_to({"Say it.": text}, rate=len(words(text)) / 2.5)
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [text]
        (answer,) = world.answers(thread)
        assert len({state.text for state in answer.states}) >= 4
        assert (
            len(
                [call for call in world.slack.calls_of(*WRITES) if call.args.get("ts") == answer.ts]
            )
            <= 10
        )
        assert world.slack.calls_of(*READS) == []
        assert (
            len(world.slack.calls_of("users.info")) <= 1
        )  # the asker's name, cached for all answers


async def test_twenty_thousand_characters_arrive_complete_in_three_messages(
    worlds: WorldFactory,
) -> None:
    text = essay(4300, seed=3)
    assert 19_000 < len(text) < 24_000
    async with worlds(limits=STRICT) as world:
        world.reply_to({"Tell me all.": text}, rate=1200)
        thread = await world.start("Tell me all.")
        visible = await world.answered(thread)
        assert marks(visible) == marks([text])
        assert len(visible) <= 3
        assert len(world.slack.calls_of(*WRITES)) <= 60


@pytest.mark.parametrize("text", [PARAGRAPH, LINES], ids=["one paragraph", "lines"])
async def test_a_model_that_breaks_off_leaves_its_partial_answer(
    worlds: WorldFactory, text: str
) -> None:
    """The model is called once; its text, the end of the stream and Retry are shown."""
    pieces = words(text)
    half = "".join(pieces[: len(pieces) // 2])
    async with worlds(limits=STRICT) as world:
        script = ModelScript(pieces, rate=200, fault=Fault("break", after=len(pieces) // 2))
        world.models.queue(MODEL, script)
        thread = await world.start("Say it.")
        await world.answered(thread)
        (answer,) = world.answers(thread)
        assert shown(answer) == half
        assert elements(answer, "retry_answer")
        assert not answer.streaming
        assert len(world.models.requests()) == 1


async def test_an_event_delivered_again_is_answered_once(world: World) -> None:
    world.slack.faults.copies = 2
    world.reply_to({"Say it.": PARAGRAPH})
    thread = await world.start("Say it.")
    await world.answered(thread)
    await world.idle()
    assert (len(world.answers(thread)), len(world.models.requests())) == (1, 1)


async def test_a_mention_in_a_chat_thread_is_answered_once(world: World) -> None:
    world.reply_to({"Say it.": "One.", "And again.": "Two."})
    thread = await world.start("Say it.")
    await world.answered(thread)
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> And again.", thread
    )
    await world.answered(thread, 2)
    await world.idle()
    assert [shown(m) for m in world.answers(thread)] == ["One.", "Two."]
    assert len(world.models.requests()) == 2


async def test_questions_asked_during_an_answer_are_answered_in_order(
    worlds: WorldFactory,
) -> None:
    async with worlds(limits=STRICT) as world:
        answers = {f"Number {n}, please.": f"Answer {n}." for n in range(3)}
        world.reply_to({"Say it.": PARAGRAPH, **answers}, rate=120)
        thread = await world.start("Say it.")
        await world.until(lambda: world.answers(thread), "the first words")
        for question in answers:
            await world.slack.conversations.say("alice", "general", question, thread)
        await world.until(lambda: len(world.messages(thread)) == 8, "they wait")
        assert await world.answered(thread, 4) == [PARAGRAPH, *answers.values()]


@pytest.mark.parametrize(
    "method", slow_after(1, ["chat.startStream", "chat.appendStream", "chat.stopStream"])
)
async def test_two_429s_delay_an_answer_and_lose_nothing(worlds: WorldFactory, method: str) -> None:
    async with worlds(limits=STRICT) as world:
        world.slack.faults.add(method, "ratelimited", times=2, retry_after=1)
        world.reply_to({"Say it.": LINES}, rate=100)
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [LINES]
        assert len(world.answers(thread)) == 1


async def test_a_stream_that_expires_is_completed(worlds: WorldFactory) -> None:
    async with worlds(limits=Limits(stream_ttl=1.0)) as world:
        world.forgive("message_not_in_streaming_state")
        world.reply_to({"Say it.": LINES}, rate=70)
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [LINES]


async def test_a_restart_during_an_answer_keeps_the_whole_history(
    worlds: WorldFactory,
) -> None:
    async with worlds(limits=STRICT) as world:
        world.reply_to({"Say it.": LINES, "And then?": "The end."}, rate=60)
        thread = await world.start("Say it.")
        (begun,) = await world.until(lambda: world.answers(thread), "the first words")
        await world.restart(bobbin_grace=0.0)
        assert await world.answered(thread) == [LINES]
        await world.slack.conversations.say("alice", "general", "And then?", thread)
        assert await world.answered(thread, 2) == [LINES, "The end."]
        assert world.answers(thread)[0].ts == begun.ts
        assert [text for role, text in world.requests()[-1] if role != "system"] == [
            "Say it.",
            LINES,
            "And then?",
        ]


async def test_an_event_being_stored_at_shutdown_is_acknowledged_before_the_socket_closes(
    world: World,
) -> None:
    """Otherwise Slack would deliver it again a minute later. `World` checks that first deliveries are acknowledged."""
    other = sqlite3.connect(
        world.database, timeout=WAIT_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    with closing(other):
        # In a thread, since the bot may be writing, and this loop must keep running for that to end.
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        thread = await world.slack.conversations.say(
            "alice", "general", f"<@{world.slack.bot_user.id}> Wait a moment."
        )
        await world.until(lambda: world.slack.deliveries[-1].attempts, "it is delivered")
        await asyncio.sleep(0.1)
        restarting = asyncio.ensure_future(world.restart())
        await asyncio.sleep(0.2)
        other.execute("ROLLBACK")
        await restarting
    await world.until(lambda: world.menus(thread), "the menu")


@pytest.mark.slow
async def test_five_concurrent_answers_are_complete_without_a_429(
    worlds: WorldFactory,
) -> None:
    """Native streams and edits share Slack's rate limits."""
    async with worlds(limits=STRICT) as world:
        world.reply_to({f"Storm {n}.": f"{n} {PARAGRAPH}" for n in range(5)}, rate=75)
        channels = ["general", "random", "leads", world.slack.workspace.dm("alice"), "general"]
        threads = []
        for number, channel in enumerate(channels):
            said = (
                f"Storm {number}."
                if channel[0] == "D"
                else f"<@{world.slack.bot_user.id}> Storm {number}."
            )
            threads.append(await world.slack.conversations.say("alice", channel, said))
        for thread, channel in zip(threads, channels, strict=True):
            await world.until(lambda t=thread, c=channel: world.menus(t, c), "the menu")  # type: ignore[misc]
        for thread, channel in zip(threads, channels, strict=True):
            await world.choose(thread, channel=channel)
        for number, (thread, channel) in enumerate(zip(threads, channels, strict=True)):
            assert await world.answered(thread, channel=channel) == [f"{number} {PARAGRAPH}"]
        assert [call.method for call in world.slack.calls if call.status == 429] == []


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_no_lag_is_measured_while_the_model_pauses(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    async with worlds(bobbin_stream=mode) as world:
        world.models.queue(MODEL, ModelScript(["At", " last."], times=(0.0, 2.0)))
        thread = await world.start("Think it over.")
        await world.answered(thread)
        (answer,) = world.answers(thread)
        assert await metric_value(world, "bobbin_lag_seconds_count") <= len(answer.states)


async def test_lag_is_measured_from_the_oldest_waiting_text(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        world.models.queue(
            MODEL, ModelScript(words("One two three four five six seven eight."), rate=5)
        )
        thread = await world.ask("Count.")
        world.slack.faults.add("chat.postMessage", "ratelimited", retry_after=2)
        await world.choose(thread)
        await world.answered(thread)
        assert await metric_value(world, "bobbin_lag_seconds_sum") >= 1.5


async def metric_value(world: World, metric: str) -> float:
    assert world.bot is not None
    async with local_client() as http:
        text = (await http.get(f"{world.bot.url}/metrics")).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(metric))
