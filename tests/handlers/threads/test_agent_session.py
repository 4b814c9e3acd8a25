"""The status that an agent is thinking shows while an answer is awaited, and is cleared at every end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot import strings
from bot.config.chats import StreamMode
from bot.sandbox.limits import Limits
from bot.sandbox.models.scripts import ModelScript
from handlers.rate_limits.slack_rates import RATES, Rate
from handlers.threads import agent_session
from tests.deadlines import patient_timing
from tests.handlers.conftest import WorldFactory
from tests.handlers.test_never_stuck import LONG, STATUS
from tests.handlers.world import MODEL, World, shown
from tests.slow import slow_after

ENDLESS = 3_600.0
TEXT = " ".join(f"Word{n} and q{n}." for n in range(30))
SIGNS = [
    (StreamMode.EDIT, STATUS),
    (StreamMode.NATIVE, agent_session.SET_SESSION_STATUS),
    (StreamMode.NATIVE, STATUS),
    (StreamMode.EDIT, agent_session.SET_SESSION_STATUS),
]
"""Ways of writing, and the call that shows a sign meanwhile."""


def signs(world: World) -> list[str]:
    """What the threads show beside their messages."""
    return [
        sign
        for thread in world.threads()
        for sign in (thread.status, thread.session)
        if sign and sign != "active"
    ]


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_the_thinking_status_is_renewed_and_cleared_at_the_end(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    limits, timing = (
        Limits(rates=False, status_ttl=0.5),
        patient_timing(status_refresh_interval=0.3),
    )
    async with worlds(bobbin_stream=mode, limits=limits, timing=timing) as world:
        world.models.queue(MODEL, ModelScript(["At", " last."], times=(1.6, 1.6)))
        thread = await world.start("Think it over.")
        await world.answered(thread)
        await world.idle()
        statuses = [
            text for _, text in world.slack.workspace.thread_state("C0GENERAL", thread).statuses
        ]
        assert statuses.count(strings.THINKING) >= 4
        assert "" not in statuses[: statuses.index(strings.THINKING) + 4]
        assert world.slack.agent_sessions.status("general", thread) == ""


@pytest.mark.parametrize("mode", slow_after(1, [StreamMode.NATIVE, StreamMode.EDIT]))
async def test_the_thinking_status_is_cleared_after_a_failure_a_retry_and_a_takeover(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    async with worlds(bobbin_stream=mode, timing=patient_timing(late_effect=1.0)) as world:
        world.fail("http", status=401)
        thread = await world.start("Fail at first.")
        await world.answered(thread)
        await world.until(
            lambda: world.slack.agent_sessions.status("general", thread) == "",
            "gone after the failure",
        )

        world.models.queue(MODEL, ModelScript(["Now", " it works."], times=(0.4, 0.4)))
        await world.slack.interactions.press("alice", world.answers(thread)[0], "retry_answer")
        await world.until(
            lambda: world.slack.agent_sessions.status("general", thread) == strings.THINKING,
            "thinking again",
        )
        await world.until(lambda: world.messages(thread)[1]["status"] == "done", "the answer")
        await world.until(
            lambda: world.slack.agent_sessions.status("general", thread) == "",
            "gone after the retry",
        )

        world.models.queue(MODEL, ModelScript(["Never", " said."], first_after=30.0))
        await world.slack.conversations.say("alice", "general", "Be taken over.", thread)
        await world.until(
            lambda: world.slack.agent_sessions.status("general", thread) == strings.THINKING,
            "thinking once more",
        )
        await world.restart(bobbin_grace=0.0)
        await world.answered(thread, 2)
        await world.until(
            lambda: world.slack.agent_sessions.status("general", thread) == "",
            "gone after the takeover",
        )


async def test_a_quick_answer_sets_no_session_status(
    worlds: WorldFactory,
) -> None:
    timing = patient_timing(session_start_delay=3600.0)  # however busy this machine is
    async with worlds(bobbin_stream=StreamMode.EDIT, timing=timing) as world:
        await world.answered(await world.start("Be quick."))
        await world.idle()
        signs = world.slack.calls_of(agent_session.SET_SESSION_STATUS)
        assert [call for call in signs if "title" not in call.args] == []


async def test_a_stop_control_left_by_a_dead_process_disappears_with_the_answer(
    worlds: WorldFactory,
) -> None:
    timing = patient_timing(late_effect=0.5, session_start_delay=0.2)
    async with worlds(bobbin_stream=StreamMode.EDIT, bobbin_grace=0.0, timing=timing) as world:
        world.say(LONG, rate=20)
        world.say("In few words.")
        thread = await world.start("Be taken over.")
        await world.until(
            lambda: world.slack.agent_sessions.can_stop("C0GENERAL", thread), "Slack's own Stop"
        )
        world.timing = replace(timing, session_start_delay=3600.0)
        await world.restart()
        assert await world.answered(thread) == ["In few words."]
        await world.until(
            lambda: not world.slack.agent_sessions.can_stop("C0GENERAL", thread),
            "the end of Slack's own Stop",
        )


@pytest.mark.parametrize(
    "trouble",
    [{"mode": "status", "status": 500}, {"mode": "hang", "seconds": 60.0}, {"mode": "lost"}],
)
async def test_a_failing_status_call_delays_no_answer(
    worlds: WorldFactory, trouble: dict[str, Any]
) -> None:
    timing = patient_timing(session_call_timeout=0.3, session_start_delay=0.0)
    async with worlds(bobbin_stream=StreamMode.EDIT, timing=timing) as world:
        world.leave_unfinished()  # a status that could not be cleared expires by itself
        for method in (STATUS, "agents.sessions.setStatus"):
            world.slack.faults.add(method, times=-1, **trouble)
        thread = await world.start("First one.")
        await world.slack.conversations.say("alice", "general", "Second one.", thread)
        assert len(await world.answered(thread, 2)) == 2


async def test_a_workspace_without_the_status_method_is_called_once(world: World) -> None:
    world.slack.faults.add(STATUS, error="unknown_method", times=-1)
    for _ in range(3):
        await world.answered(await world.start("Go on."))
    await world.idle()
    assert len(world.slack.calls_of(STATUS)) == 1


@pytest.mark.parametrize(
    ("mode", "method"),
    [(StreamMode.EDIT, "chat.postMessage"), (StreamMode.NATIVE, "chat.startStream")],
)
async def test_a_status_renewed_while_a_message_is_posted_does_not_last(
    worlds: WorldFactory, mode: StreamMode, method: str
) -> None:
    """Slack has posted the message and cleared the status, but its response is late: then comes the renewal."""
    timing = patient_timing(status_refresh_interval=0.1, slack_call_timeout=ENDLESS)
    async with worlds(bobbin_stream=mode, timing=timing) as world:
        world.say(TEXT, rate=300)
        thread = await world.ask("Say it.")
        fault = world.slack.faults.add(
            method, "slow", seconds=ENDLESS, after_effect=True, channel="C0GENERAL"
        )
        await world.choose(thread)
        await world.until(lambda: fault.hits, "the first text")
        before = len(world.slack.calls_of(STATUS))
        await world.until(lambda: len(world.slack.calls_of(STATUS)) > before + 1, "the renewal")
        world.slack.faults.release()
        assert await world.answered(thread) == [TEXT]
        await world.idle()
        assert signs(world) == []


@pytest.mark.parametrize(("mode", "method"), slow_after(2, SIGNS))
async def test_a_call_on_its_way_at_the_end_takes_effect_later_and_does_not_last(
    worlds: WorldFactory, method: str, mode: StreamMode
) -> None:
    timing = patient_timing(
        session_start_delay=0.0,
        status_end_timeout=0.05,
        session_call_timeout=ENDLESS,
        slack_call_timeout=ENDLESS,
        late_effect=ENDLESS,
        sweep_interval=0.1,
    )
    async with worlds(bobbin_stream=mode, timing=timing) as world:
        fault = world.slack.faults.add(method, "slow", seconds=ENDLESS)
        world.say(TEXT, rate=300)
        thread = await world.start("Say it.")
        await world.until(lambda: fault.hits, "the sign is to be shown")
        assert await world.answered(thread) == [TEXT]
        removal = "clear_status" if method == STATUS else "end_session"
        # Where Slack has no session for the thread, showing the title would end it too.
        await world.until(lambda: world.chores() == [removal], "only what removes it is left")
        world.slack.faults.release()
        await world.until(lambda: signs(world), "the late sign")
        await world.execute("UPDATE chores SET due_at = strftime('%Y-%m-%d %H:%M:%f000', 'now')")
        await world.until(lambda: not signs(world), "no sign")
        await world.idle()


@pytest.mark.parametrize("after_effect", [True, False])
@pytest.mark.parametrize(("mode", "method"), slow_after(2, SIGNS))
async def test_a_call_that_failed_inside_slack_delays_no_removal(
    worlds: WorldFactory, method: str, mode: StreamMode, after_effect: bool
) -> None:
    """It has its response: what it left stands now, or never will."""
    timing = patient_timing(session_start_delay=0.0, chore_pause=0.05, late_effect=ENDLESS)
    async with worlds(bobbin_stream=mode, timing=timing) as world:
        fault = world.slack.faults.add(method, "status", times=1000, after_effect=after_effect)
        world.say(TEXT, rate=300)
        thread = await world.start("Say it.")
        await world.until(lambda: fault.hits, "the sign is to be shown")
        assert await world.answered(thread) == [TEXT]
        world.slack.faults.clear()
        await world.idle()
        assert signs(world) == []


@pytest.mark.parametrize(("mode", "method"), slow_after(2, SIGNS))
async def test_a_call_that_still_gets_its_response_at_the_end_delays_no_removal(
    worlds: WorldFactory, method: str, mode: StreamMode
) -> None:
    timing = patient_timing(
        session_start_delay=0.0,
        status_end_timeout=ENDLESS,
        session_call_timeout=ENDLESS,
        slack_call_timeout=ENDLESS,
        late_effect=ENDLESS,
    )
    async with worlds(bobbin_stream=mode, timing=timing) as world:
        fault = world.slack.faults.add(method, "slow", seconds=ENDLESS)
        world.say(TEXT, rate=300)
        thread = await world.start("Say it.")
        await world.until(lambda: fault.hits, "the sign is to be shown")
        await world.until(lambda: shown(world.answers(thread)[0]) == TEXT, "the text")
        world.slack.faults.release()
        assert await world.answered(thread) == [TEXT]
        await world.idle()
        assert signs(world) == []


@pytest.mark.parametrize("mode", [StreamMode.EDIT, StreamMode.NATIVE])
async def test_calls_that_were_never_sent_delay_no_removal(
    worlds: WorldFactory, mode: StreamMode
) -> None:
    """They wait for their turn until the answer ends."""
    rates = RATES | {
        method: Rate(per_second=1e-6, burst=1e-6)
        for method in (STATUS, agent_session.SET_SESSION_STATUS)
    }
    timing = patient_timing(
        session_start_delay=0.0, status_end_timeout=ENDLESS, late_effect=86_400.0
    )
    async with worlds(bobbin_stream=mode, timing=timing, rates=rates) as world:
        world.leave_unfinished()  # what removes the signs waits for its turn, too
        world.say(TEXT, rate=300)
        thread = await world.start("Say it.")
        assert await world.answered(thread) == [TEXT]
        late = "SELECT 1 FROM chores WHERE due_at > strftime('%Y-%m-%d %H', 'now', '+12 hours')"
        assert world.rows(late) == []
        assert world.slack.calls_of(STATUS) == []
