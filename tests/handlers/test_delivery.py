"""Whatever Slack does while an answer is written, the answer is complete at the end, and there once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.config.chats import StreamMode
from bot.sandbox.models.scripts import ModelScript
from handlers.rate_limits.slack_rates import RATES, Rate
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.long_texts import essay, marks
from tests.handlers.tcp_proxy import TcpProxy
from tests.handlers.world import World, below, elements
from tests.slow import slow, slow_after

TEXT = " ".join(f"Word{n} and q{n}." for n in range(45))


HIGH_RATES = dict.fromkeys(RATES, Rate(100.0, 100.0))
"""Rates that let many answers be written natively at the same time."""
SETTLED_SOON = patient_timing(late_effect=2.0)
"""For a Slack in which a call takes effect at once or, if its response does not come, never."""

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"mode": "ratelimited", "retry_after": 1},
    "429 twice": {"mode": "ratelimited", "retry_after": 1, "times": 2},
    "500": {"mode": "status", "status": 500},
    "503 three times": {"mode": "status", "status": 503, "times": 3},
    "lost answer": {"mode": "lost"},
    "lost answer twice": {"mode": "lost", "times": 2},
    "time-out": {"mode": "hang", "seconds": 0.3},
    "HTML": {"mode": "garbage"},
    "internal_error": {"error": "internal_error"},
    "internal_error with effect": {"error": "internal_error", "after_effect": True},
    "fatal_error": {"error": "fatal_error"},
    "500 with effect": {"mode": "status", "status": 500, "after_effect": True},
    "slow": {"mode": "slow", "seconds": 0.7},
}
STREAM_FAULTS: dict[str, dict[str, Any]] = {
    name: {"error": name}
    for name in (
        "message_not_in_streaming_state", "message_not_found", "msg_too_long", "streaming_mode_mismatch",
        "cannot_provide_both_markdown_text_and_chunks", "invalid_chunks", "invalid_blocks", "msg_blocks_too_long",
        "msg_blocks_too_many", "channel_type_not_supported", "no_text",
    )
}  # fmt: skip
EDIT_FAULTS: dict[str, dict[str, Any]] = {
    name: {"error": name}
    for name in (
        "invalid_blocks", "msg_blocks_too_long", "block_mismatch", "invalid_arguments", "cant_update_message",
        "edit_window_closed",
    )
}  # fmt: skip

REPRESENTATIVE = (
    "429",
    "500",
    "lost answer",
    "HTML",
    "fatal_error",
    "msg_too_long",
    "invalid_blocks",
)
"""One fault of each kind: the quick tests try these, the long ones all."""


def faults(every: bool, more: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The faults of all calls and `more`, or only those that stand for the others."""
    return {
        name: fault for name, fault in (FAULTS | more).items() if every or name in REPRESENTATIVE
    }


async def run_with_each(
    world: World, method: str, faults: dict[str, dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """Runs one chat per fault, each in its own channel and all at once; returns the messages of each answer."""
    people = [world.slack.workspace.user("alice").id, world.slack.bot_user.id]
    channels = {
        name: world.slack.workspace.add_channel(f"room{n}", people).id
        for n, name in enumerate(faults)
    }
    for name, fault in faults.items():
        world.slack.faults.add(method, channel=channels[name], **fault, **more)

    # A choice must be acknowledged in time, on a busy machine too.
    concurrency = asyncio.Semaphore(4)

    async def chat(channel: str) -> str:
        async with concurrency:
            thread = await world.start("Say it.", channel=channel)
        await world.answered(thread, channel=channel)
        return thread

    world.reply_to({"Say it.": TEXT}, rate=60)
    threads = await asyncio.gather(*(chat(channel) for channel in channels.values()))
    await world.idle()
    places = zip(threads, channels.values(), strict=True)
    shown = [await world.answered(thread, channel=channel) for thread, channel in places]
    return dict(zip(faults, shown, strict=True))


def incomplete(shown: dict[str, list[str]]) -> dict[str, list[str]]:
    """The cases in which the messages together are not exactly the model's text."""
    return {
        name: texts for name, texts in shown.items() if " ".join("".join(texts).split()) != TEXT
    }


@pytest.mark.parametrize(
    ("method", "every"),
    slow_after(
        1,
        [
            ("chat.appendStream", False),
            ("chat.appendStream", True),
            ("chat.startStream", True),
            ("chat.stopStream", True),
        ],
    ),
)
async def test_no_failure_of_a_streaming_call_loses_or_repeats_text(
    worlds: WorldFactory, method: str, every: bool
) -> None:
    async with worlds(rates=HIGH_RATES, timing=SETTLED_SOON) as world:
        # After an unknown outcome or a false rejection, the bot finds out the state of the stream by trying.
        world.forgive("message_not_in_streaming_state", "streaming_state_conflict")
        assert incomplete(await run_with_each(world, method, faults(every, STREAM_FAULTS))) == {}
        await world.idle()


async def test_a_message_that_appears_after_its_call_timed_out_is_removed(
    worlds: WorldFactory,
) -> None:
    """The call times out, a search finds nothing and the bot posts again; then the first call takes effect."""
    timing = patient_timing(slack_call_timeout=3.0, late_effect=4.0)
    async with worlds(rates=HIGH_RATES, timing=timing) as world:
        world.forgive("message_not_in_streaming_state")
        world.say(TEXT)
        thread = await world.ask("Say it.")
        world.slack.faults.add("chat.startStream", "slow")
        await world.choose(thread)
        await world.until(lambda: world.answers(thread), "the second call's message")
        world.slack.faults.release()
        await world.answered(thread)
        await world.idle()
        assert incomplete({"late": await world.answered(thread)}) == {}


@pytest.mark.parametrize(
    ("method", "skip", "every"),
    slow_after(
        1,
        [
            ("chat.update", 1, False),
            ("chat.update", 1, True),
            ("chat.postMessage", 1, True),
            ("chat.update", 0, True),
        ],
    ),
)
async def test_no_failure_of_a_post_or_edit_loses_or_repeats_text(
    worlds: WorldFactory, method: str, skip: int, every: bool
) -> None:
    """The menu and the header are written by the same methods before the answer, and exist once too."""
    async with worlds(
        bobbin_stream=StreamMode.EDIT, rates=HIGH_RATES, timing=SETTLED_SOON
    ) as world:
        shown = await run_with_each(world, method, faults(every, EDIT_FAULTS), skip=skip)
        assert incomplete(shown) == {}
        await world.idle()


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_a_long_answer_with_tables_and_code_arrives_over_several_messages(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    """Each sentence, row and line of code is there once and in order; every message is well-formed and small enough."""
    text = essay(6000, seed=7)
    async with worlds(bobbin_stream=mode) as world:
        world.reply_to({"Tell me everything.": text}, rate=2500)
        thread = await world.start("Tell me everything.")
        shown = await world.answered(thread)
        await world.idle()

        assert marks(shown) == marks([text])
        assert all(len(each.encode()) <= 11_000 for each in shown)
        assert [each.count("```") % 2 for each in shown] == [0] * len(shown)
        assert world.ended(thread)[0]["text"] == text
        footers = [bool(elements(message, "feedback")) for message in world.answers(thread)]
        assert footers == [False] * (len(shown) - 1) + [True]
        streams = len(world.slack.calls_of("chat.startStream"))
        assert streams > 1 if mode is StreamMode.NATIVE else streams == 0


async def test_links_in_an_answer_are_not_unfurled(worlds: WorldFactory) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        world.say("See https://example.com/one and https://example.com/two.")
        await world.answered(await world.start("Where is it?"))
        post = world.slack.calls_of("chat.postMessage")[-1]
        assert (post.args["unfurl_links"], post.args["unfurl_media"]) == (False, False)


@pytest.mark.parametrize(
    ("refusals", "shown_below"),
    [(0, {"facts", "thumbs"}), (1, {"facts"}), slow((2, set())), (3, set())],
)
async def test_a_rejected_message_is_sent_in_ever_simpler_formats(
    worlds: WorldFactory, refusals: int, shown_below: set[str]
) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        world.say("It is shown here.")
        thread = await world.ask("Say it.")
        if refusals:  # of the whole answer: by the time of the second attempt the model has ended
            world.slack.faults.add("chat.postMessage", "ratelimited")
            world.slack.faults.add("chat.postMessage", error="invalid_blocks", times=refusals)
        await world.choose(thread)
        assert await world.answered(thread) == ["It is shown here."]
        (answer,) = world.answers(thread)
        below_it = {
            "facts": "Demo: Quick · " in below(answer),
            "thumbs": bool(elements(answer, "feedback")),
        }
        assert {what for what, there in below_it.items() if there} == shown_below


async def test_an_answer_rejected_in_every_format_is_stored(worlds: WorldFactory) -> None:
    async with worlds(bobbin_stream=StreamMode.EDIT) as world:
        world.say(TEXT)
        thread = await world.ask("Say it.")
        # How often it is tried depends on whether the model has ended by then.
        world.slack.faults.add(
            "chat.postMessage", error="invalid_blocks", channel="C0GENERAL", times=-1
        )
        await world.choose(thread)
        assert await world.answered(thread) == []
        assert world.ended(thread)[0]["text"] == TEXT
        assert any(line["event"] == "answer_not_shown" for line in world.lines())


@pytest.mark.slow
async def test_an_answer_survives_seconds_of_slack_being_down(world: World) -> None:
    """Calls fail and the socket is down; later the answer is complete, and a message from in between is answered."""
    world.allow_redelivery()
    world.forgive_logger("slack_sdk.socket_mode")
    # Afterwards the bot does not know whether the stream was ended.
    world.forgive("streaming_state_conflict")
    world.reply_to({"Say it.": TEXT, "And now?": "Better."}, rate=40)
    thread = await world.start("Say it.")
    await world.until(lambda: world.answers(thread), "the first words")

    world.slack.faults.add("*", "status", status=503, times=-1)
    world.slack.sockets.refuse(1.5)
    await world.slack.sockets.drop()
    await world.slack.conversations.say("alice", "general", "And now?", thread)
    await asyncio.sleep(1.5)
    world.slack.faults.clear()

    assert await world.answered(thread, 2) == [TEXT, "Better."]


async def test_an_answer_survives_slack_being_unreachable(world: World) -> None:
    """Without a connection no call can have taken effect, so the bot continues without searching the thread."""
    async with TcpProxy(world.slack.api_url) as proxy:
        await world.restart(slack_api_url=proxy.url)
        world.reply_to({"Say it.": TEXT}, rate=80)
        thread = await world.start("Say it.")
        await world.until(lambda: world.answers(thread), "the first words")
        await proxy.refuse()
        await asyncio.sleep(0.7)
        await proxy.accept()
        assert await world.answered(thread) == [TEXT]
        assert world.slack.calls_of("conversations.replies") == []
        await world.stop_bot()


async def test_a_message_deleted_during_the_answer_is_written_again(world: World) -> None:
    world.forgive("message_not_found")
    world.reply_to({"Say it.": TEXT}, rate=80)
    thread = await world.start("Say it.")
    (answer,) = await world.until(lambda: world.answers(thread), "the first words")
    world.slack.workspace.delete(answer)
    assert await world.answered(thread) == [TEXT]


async def test_an_answer_in_an_archived_channel_is_stored(world: World) -> None:
    """The answer is in the database, and the writer gives up."""
    world.forgive("is_archived", "message_not_in_streaming_state")
    world.leave_unfinished()
    world.reply_to({"Say it.": TEXT}, rate=80)
    thread = await world.start("Say it.", channel="random")
    await world.until(lambda: world.answers(thread, "random"), "the first words")
    world.slack.workspace.channel("random").is_archived = True
    await world.answered(thread, channel="random")
    assert world.ended(thread)[0]["text"] == TEXT


async def test_an_answer_whose_writes_fail_for_too_long_is_stored_and_the_next_one_shown(
    worlds: WorldFactory,
) -> None:
    async with worlds(
        bobbin_stream=StreamMode.EDIT, timing=patient_timing(write_retry_limit=0.5, late_effect=2.0)
    ) as world:
        world.reply_to({"Say it.": TEXT, "Next one.": "The second answer."})
        thread = await world.ask("Say it.")
        world.slack.faults.add("chat.postMessage", "status", status=503, times=-1)
        await world.choose(thread)
        assert await world.answered(thread) == []
        assert world.ended(thread)[0]["text"] == TEXT
        world.slack.faults.clear()
        await world.slack.conversations.say("alice", "general", "Next one.", thread)
        assert await world.answered(thread, 2) == ["The second answer."]


async def test_a_post_with_unknown_outcome_does_not_claim_another_answers_message(
    worlds: WorldFactory,
) -> None:
    """A question asked during an answer is older than the messages of that answer."""
    async with worlds(bobbin_stream=StreamMode.EDIT, timing=SETTLED_SOON) as world:
        world.reply_to({"Say it.": TEXT, "Next one.": "The second answer."}, rate=40)
        thread = await world.ask("Say it.")
        world.slack.faults.add("chat.postMessage", "slow", seconds=0.5)
        await world.choose(thread)
        await world.slack.conversations.say("alice", "general", "Next one.", thread)
        await world.until(lambda: world.answers(thread), "the first answer's message")
        world.slack.faults.add("chat.postMessage", "hang", seconds=0.2)
        assert await world.answered(thread, 2) == [TEXT, "The second answer."]


# -- pings ---------------------------------------------------------------------------------------------------------

PINGS = (
    "Hey <!channel>, <!here> and <!everyone|all>: ask <@U0BOB>, <!subteam^S0|team> or <#C0GENERAL>. "
    "`<!channel>` is code."
)
ESCAPED_PINGS = PINGS.replace("<", "&lt;").replace("`&lt;!", "`<!")


@pytest.mark.parametrize("size", slow_after(1, [1, 2, 3, 7]))
@pytest.mark.parametrize("mode", [StreamMode.NATIVE, StreamMode.EDIT])
async def test_no_delta_boundary_lets_a_model_ping_people(
    worlds: WorldFactory, mode: StreamMode, size: int
) -> None:
    """No state of the message contains a live mention; code is shown unchanged."""
    async with worlds(bobbin_stream=mode) as world:
        pieces = [PINGS[n : n + size] for n in range(0, len(PINGS), size)]
        world.models.queue("demo/quick", ModelScript(pieces, rate=len(pieces)))
        thread = await world.start("Ping them all.")
        assert await world.answered(thread) == [ESCAPED_PINGS]
        for state in world.answers(thread)[0].states:
            assert "<!" not in state.text.replace("`<!", "")
            assert "<@" not in state.text
            assert "<#" not in state.text


async def test_log_lines_name_the_workspace_the_chat_and_the_answer(world: World) -> None:
    thread = await world.start("Where am I?")
    await world.answered(thread)
    world.slack.faults.add(
        "chat.postMessage", error="invalid_blocks", channel="C0GENERAL", times=-1
    )
    await world.slack.conversations.say(
        "alice", "general", f"<@{world.slack.bot_user.id}> and here?"
    )
    await world.until(
        lambda: any(line["event"] == "menu_refused" for line in world.lines()), "the refusal"
    )
    await world.idle()
    (answer,) = world.rows("SELECT message_id, chat_id FROM answers")
    (ended,) = (line for line in world.lines() if line["event"] == "answer_ended")
    (refused,) = (line for line in world.lines() if line["event"] == "menu_refused")
    team = world.slack.workspace.team_id
    assert (ended["team"], ended["chat"], ended["answer"]) == (
        team,
        answer["chat_id"],
        answer["message_id"],
    )
    assert refused["team"] == team
