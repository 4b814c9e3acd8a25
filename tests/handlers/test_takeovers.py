"""An answer taken over while the previous worker's calls are still in progress is complete and shown once."""

from __future__ import annotations

import asyncio

import pytest

from bot.config.chats import StreamMode
from bot.observability import Metrics
from bot.sandbox.limits import Limits
from bot.sandbox.server import Sandbox
from handlers.client.errors import OutcomeUnknown
from handlers.client.http_session import new_session, new_web_client
from handlers.client.web_api import SlackClient
from handlers.rate_limits.dispatcher import CallDispatcher
from storage.action_claims import ActionClaims
from storage.engine.database import Database
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.world import World, elements
from tests.slow import slow_after

TEXT = " ".join(f"Word{n} and q{n}." for n in range(45))
LONG = " ".join(f"Word{n} and q{n}." for n in range(900))
ENDLESS = 600.0
"""Seconds that a call is held back, unless it is released."""


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_a_worker_that_lost_its_lease_makes_no_further_call(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    """Leases are only renewed on demand here: while the lease holds the answer continues, then no call is made."""
    timing = patient_timing(
        lease_renew_interval=3600.0, sweep_interval=3600.0, lease_safe=0.3, late_effect=1.0
    )
    async with worlds(bobbin_stream=mode, timing=timing) as world:
        world.say(TEXT, rate=25)
        world.say(TEXT)
        thread = await world.start("Say it.")
        await world.until(lambda: len(world.answers(thread)[0].states) > 3, "it grows")
        await world.execute(
            "UPDATE answers SET owner = 'other', lease_until = '2099-01-01 00:00:00.000000'"
        )
        await asyncio.sleep(
            0.4
        )  # calls that begin in this time are safe: no takeover can have happened yet
        calls = len(world.slack.calls)
        await asyncio.sleep(2.0)
        assert len(world.slack.calls) == calls
        assert world.rows("SELECT owner, state FROM answers") == [
            {"owner": "other", "state": "running"}
        ]
        await world.execute(
            "UPDATE answers SET owner = NULL, lease_until = '2001-01-01 00:00:00.000000'"
        )
        await world.restart()
        assert await world.answered(thread) == [TEXT]


async def test_the_lease_is_checked_again_before_a_request_is_sent() -> None:
    """The process may be suspended between the first check and the first byte, so the lease is checked twice."""
    asked: list[int] = []

    async def until_lost() -> None:
        asked.append(len(asked))
        if len(asked) > 1:
            raise asyncio.CancelledError

    database = Database.open("sqlite://")
    async with Sandbox(limits=Limits.off()) as sandbox, new_session() as session:
        client = new_web_client(sandbox.bot_token, sandbox.api_url, session)
        slack = SlackClient(
            client,
            team="T1",
            bot_user="U1",
            dispatcher=CallDispatcher(),
            metrics=Metrics(),
            session=session,
            claims=ActionClaims(database),
        )
        with pytest.raises(OutcomeUnknown):
            await slack.fenced(until_lost).call(
                "chat.postMessage", channel="C0GENERAL", text="Too late."
            )
        assert asked == [0, 1]
        await slack.call("chat.postMessage", channel="C0GENERAL", text="In time.")
        assert [call.args["text"] for call in sandbox.calls_of("chat.postMessage")] == ["In time."]
    await database.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "method"),
    [(StreamMode.NATIVE, "chat.startStream"), (StreamMode.EDIT, "chat.postMessage")],
)
async def test_a_late_message_of_a_dead_process_is_removed(
    worlds: WorldFactory, mode: StreamMode, method: str
) -> None:
    """The new worker finds nothing and posts a message; then the message of the dead process appears."""
    timing = patient_timing(late_effect=12.0, last_write_timeout=0.1)
    async with worlds(bobbin_stream=mode, bobbin_grace=0.0, timing=timing) as world:
        world.forgive("message_not_in_streaming_state")
        world.reply_to({"Say it.": TEXT})
        thread = await world.ask("Say it.")
        fault = world.slack.faults.add(method, "slow", seconds=ENDLESS)
        await world.choose(thread)
        await world.until(lambda: fault.hits, "the first message is on its way")
        await _replace_with_lapsed_leases(world)
        await world.until(lambda: world.answers(thread), "the new worker's message")
        world.slack.faults.release()
        await world.answered(thread)
        await world.idle()
        assert await world.answered(thread) == [TEXT]
        assert len(world.slack.calls_of("chat.delete")) == 1


@pytest.mark.parametrize(
    ("text", "rate"),
    slow_after(1, [(TEXT, 25), (LONG, 900)]),
    ids=["one message", "the second message"],
)
async def test_a_late_edit_of_a_dead_process_is_overwritten(
    worlds: WorldFactory, text: str, rate: int
) -> None:
    timing = patient_timing(late_effect=12.0, last_write_timeout=0.1)
    async with worlds(bobbin_stream=StreamMode.EDIT, bobbin_grace=0.0, timing=timing) as world:
        world.say(text, rate=rate)
        world.say(text)
        thread = await world.start("Say it.")
        count = 1 if text is TEXT else 2
        *_, last = await world.until(lambda: world.answers(thread)[count - 1 :], "the first words")
        fault = world.slack.faults.add("chat.update", "slow", ts=last.ts, seconds=ENDLESS)
        await world.until(lambda: fault.hits, "an edit is on its way")
        await _replace_with_lapsed_leases(world)
        await world.answered(thread)
        world.slack.faults.release()
        await world.idle()
        assert " ".join("".join(await world.answered(thread)).split()) == text
        footers = [bool(elements(message, "feedback")) for message in world.answers(thread)]
        assert footers == [False] * (count - 1) + [True]


async def _replace_with_lapsed_leases(world: World) -> None:
    """Stops the bot and starts another whose database says that the first died without releasing its leases."""
    await world.stop_bot()
    await world.execute(
        "UPDATE answers SET owner = 'elsewhere:1:00000000', lease_until = '2001-01-01 00:00:00.000000' "
        "WHERE state IN ('running', 'showing')"
    )
    await world.start_bot()


@pytest.mark.parametrize(
    ("mode", "method"),
    slow_after(1, [(StreamMode.NATIVE, "chat.startStream"), (StreamMode.EDIT, "chat.postMessage")]),
)
async def test_a_stopping_process_records_the_message_it_is_posting(
    worlds: WorldFactory, mode: StreamMode, method: str
) -> None:
    timing = patient_timing(late_effect=0.0)
    async with worlds(bobbin_stream=mode, bobbin_grace=0.0, timing=timing) as world:
        world.reply_to({"Say it.": TEXT})
        thread = await world.ask("Say it.")
        fault = world.slack.faults.add(method, "slow", seconds=1.5)
        await world.choose(thread)
        await world.until(lambda: fault.hits, "the first message is on its way")
        await world.restart()
        assert await world.answered(thread) == [TEXT]
        await world.until(
            lambda: any(c.duration > 1.0 for c in world.slack.calls_of(method)),
            "that message is made",
        )
        assert len(world.answers(thread)) == 1
        assert world.slack.calls_of("chat.delete") == []


async def test_a_stopping_process_leaves_an_unwritten_end_to_the_next_one(
    worlds: WorldFactory,
) -> None:
    async with worlds(bobbin_grace=0.0) as world:
        world.forgive("message_not_in_streaming_state")
        fault = world.slack.faults.add("chat.stopStream", "ratelimited", retry_after=2)
        world.say(TEXT)
        thread = await world.start("Say it.")
        await world.until(lambda: fault.hits, "the end is to be shown")
        await world.restart()
        assert await world.answered(thread) == [TEXT]
        (answer,) = world.answers(thread)
        assert elements(answer, "feedback")


@pytest.mark.parametrize("next_dies_too", slow_after(1, [False, True]))
async def test_a_late_menu_of_a_dead_process_is_removed(
    worlds: WorldFactory, next_dies_too: bool
) -> None:
    timing = patient_timing(duplicate_menu_delay=10.0, thread_sweep_interval=0.3)
    async with worlds(timing=timing) as world:
        world.say(TEXT)
        fault = world.slack.faults.add("chat.postMessage", "slow")
        thread = await world.slack.conversations.say(
            "alice", "general", f"<@{world.slack.bot_user.id}> Say it."
        )
        await world.until(lambda: fault.hits, "the menu is on its way")
        await world.restart()
        (kept,) = await world.until(lambda: world.menus(thread), "the next one's menu")
        world.slack.faults.release()
        if next_dies_too:
            await world.until(lambda: len(world.menus(thread)) == 2, "the first one's menu")
            await world.restart()
        await world.until(lambda: world.slack.calls_of("chat.delete"), "the first one's is removed")
        assert world.menus(thread) == [kept]
        await world.choose(thread)
        assert await world.answered(thread) == [TEXT]
        assert (len(world.menus(thread)), len(world.headers(thread))) == (0, 1)
