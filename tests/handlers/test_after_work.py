"""An answer is asked for, written, shown and ended although everything that is not its text hangs or fails.

Timeouts are made endless here, so that an answer that waited for decoration would never end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.answers.after_work import MAX_PLACES
from bot.config.chats import StreamMode
from bot.domain.chores import Chore
from bot.sandbox.limits import Limits
from bot.sandbox.models.demo import asks_for_title
from bot.sandbox.models.scripts import ModelScript
from handlers.answers.thinking_status import SET_STATUS
from handlers.rate_limits.slack_rates import APPEND, POST, RATES, START, STOP, UPDATE, Rate
from handlers.threads.agent_session import SET_SESSION_STATUS
from handlers.threads.queued_reaction import REACTION
from tests.deadlines import patient_timing
from tests.handlers.conftest import TwoWorkspacesFactory, WorldFactory
from tests.handlers.two_workspaces import TwoWorkspaces, allow_events_of_unknown_workspaces
from tests.handlers.world import MODEL, Row, World, elements, shown
from tests.slow import slow_after

ENDLESS = 3_600.0
PATIENT = patient_timing(
    session_call_timeout=ENDLESS,
    status_end_timeout=0.05,
    chore_timeout=ENDLESS,
    user_name_timeout=0.2,
    question_timeout=0.5,
    late_effect=ENDLESS,
    session_start_delay=0.0,
)
PLENTY = {method: Rate(1_000.0, 1_000.0) for method in RATES}
CARRIERS = {
    StreamMode.NATIVE: frozenset({START, APPEND, STOP}),
    StreamMode.EDIT: frozenset({POST, UPDATE}),
}
FAULTS: dict[str, dict[str, Any]] = {
    "hangs": {"mode": "hang", "seconds": ENDLESS},
    "fails": {"mode": "status", "status": 503},
    "is refused": {"mode": "ratelimited", "retry_after": 1},
}
TEXT = " ".join(f"Word{n} and q{n}." for n in range(30))


async def say(world: World, text: str, thread: str) -> str:
    return await world.slack.conversations.say("alice", "general", text, thread)


@pytest.mark.parametrize("fault", slow_after(1, FAULTS))
@pytest.mark.parametrize("mode", slow_after(1, CARRIERS))
async def test_answers_follow_each_other_even_if_all_other_methods_fail(
    worlds: WorldFactory, mode: StreamMode, fault: str
) -> None:
    """Three questions are written while the first answer runs, so that each of them is marked as queued."""
    async with worlds(
        limits=Limits.off(), timing=PATIENT, rates=PLENTY, bobbin_stream=mode
    ) as world:
        world.leave_unfinished()
        thread = await world.start("Hello.")
        await world.answered(thread)
        for method in sorted(RATES.keys() - CARRIERS[mode]):
            world.slack.faults.add(method, times=-1, **FAULTS[fault])
        texts = [f"{n}. {TEXT}" for n in range(4)]
        world.say(*texts, rate=300)
        for n in range(4):
            await say(world, f"Question {n}?", thread)
        assert (await world.answered(thread, 5))[1:] == texts
        asked = [request[-1][1] for request in world.requests()]
        assert asked == ["Hello.", *(f"Question {n}?" for n in range(4))]
        world.slack.faults.clear()


@pytest.mark.parametrize(("mode", "method"), [(StreamMode.NATIVE, START), (StreamMode.EDIT, POST)])
@pytest.mark.parametrize(
    "fault", slow_after(1, [{"mode": "status", "status": 500}, {"mode": "lost"}])
)
async def test_a_failed_first_call_of_an_answer_does_not_delay_the_next_one(
    worlds: WorldFactory, mode: StreamMode, method: str, fault: dict[str, Any]
) -> None:
    """The search for what the call may still cause is due after `late_effect`, which is endless here."""
    async with worlds(timing=PATIENT, rates=PLENTY, bobbin_stream=mode) as world:
        world.leave_unfinished()
        world.forgive("message_not_in_streaming_state")
        thread = await world.start("Hello.")
        await world.answered(thread)
        world.slack.faults.add(method, **fault)
        world.say("The first.", "The second.")
        await say(world, "One?", thread)
        await say(world, "Two?", thread)
        assert (await world.answered(thread, 3))[1:] == ["The first.", "The second."]
        assert ("find_strays" in world.chores()) is (fault["mode"] == "status")


@pytest.mark.parametrize(
    ("mode", "method"), slow_after(1, [(StreamMode.NATIVE, START), (StreamMode.EDIT, POST)])
)
async def test_an_answer_waits_only_so_long_for_a_thread_that_cannot_be_read(
    worlds: WorldFactory, mode: StreamMode, method: str
) -> None:
    """Reading it would show whether the failed first call has created a message."""
    timing = replace(PATIENT, search_timeout=2.0)
    async with worlds(timing=timing, rates=PLENTY, bobbin_stream=mode) as world:
        world.leave_unfinished()
        thread = await world.start("Hello.")
        await world.answered(thread)
        world.slack.faults.add(method, "status", status=500)
        search = world.slack.faults.add("conversations.replies", "hang", times=-1, seconds=ENDLESS)
        world.say("Here I am.")
        await say(world, "One?", thread)
        assert (await world.answered(thread, 2))[1:] == ["Here I am."]
        assert search.hits
        assert "find_strays" in world.chores()


async def test_the_next_model_is_asked_as_soon_as_the_text_is_stored(world: World) -> None:
    """The end of the first answer is not visible yet, but the second one's text still appears below it."""
    thread = await world.start("Hello.")
    await world.answered(thread)
    fault = world.slack.faults.add(STOP, "hang", seconds=ENDLESS)
    world.say("The first.", "The second.")
    await say(world, "One?", thread)
    await say(world, "Two?", thread)
    await world.until(lambda: len(world.requests()) == 3, "the model is asked again")
    await world.until(lambda: fault.hits, "the end of the first answer is on its way")
    states = [row["state"] for row in world.rows("SELECT state FROM answers ORDER BY number")]
    assert states[:2] == ["ended", "showing"]
    world.slack.faults.clear()
    assert (await world.answered(thread, 3))[1:] == ["The first.", "The second."]


# -- after-work survives -------------------------------------------------------------------------------------------


async def test_a_mark_is_lifted_by_the_next_process(worlds: WorldFactory) -> None:
    async with worlds(bobbin_grace=0.0) as world:
        thread = await world.start("Hello.")
        await world.answered(thread)
        fault = world.slack.faults.add("reactions.remove", "hang", seconds=ENDLESS)
        world.say(TEXT, rate=30)
        await say(world, "One?", thread)
        ts = await say(world, "Two?", thread)
        asking = world.slack.workspace.message("general", ts)
        await world.until(lambda: REACTION in asking.reactions, "the mark")
        await world.until(lambda: fault.hits, "the mark is to be lifted")
        await world.answered(thread, 3)
        assert REACTION in asking.reactions
        await world.restart()
        await world.until(lambda: REACTION not in asking.reactions, "no mark")
        await world.idle()


async def test_a_mark_is_lifted_however_often_slack_refused(worlds: WorldFactory) -> None:
    often = patient_timing(chore_pause=0.001, chore_timeout=0.3, sweep_interval=0.1)
    async with worlds(timing=often) as world:
        thread = await world.start("Hello.")
        await world.answered(thread)
        world.slack.faults.add("reactions.remove", "status", status=503, times=-1)
        world.say(TEXT, rate=30)
        await say(world, "One?", thread)
        asking = world.slack.workspace.message("general", await say(world, "Two?", thread))
        tries = "SELECT 1 FROM chores WHERE kind = 'lift_mark' AND tries > 9"
        await world.until(lambda: world.rows(tries), "many attempts")
        await world.until(lambda: REACTION in asking.reactions, "the mark")
        world.slack.faults.clear()
        await world.until(lambda: REACTION not in asking.reactions, "no mark")


@pytest.mark.parametrize(
    ("mode", "method"),
    slow_after(
        2,
        [
            (StreamMode.NATIVE, SET_STATUS),
            (StreamMode.EDIT, SET_SESSION_STATUS),
            (StreamMode.EDIT, SET_STATUS),
            (StreamMode.NATIVE, SET_SESSION_STATUS),
        ],
    ),
)
async def test_a_late_status_does_not_stay(
    worlds: WorldFactory, method: str, mode: StreamMode
) -> None:
    """The call that shows it timed out without a response, and takes effect once the answer is complete."""
    soon = patient_timing(
        session_call_timeout=0.2,
        status_end_timeout=0.05,
        session_start_delay=0.0,
        slack_call_timeout=ENDLESS,
        late_effect=1.5,
    )
    async with worlds(bobbin_stream=mode, timing=soon) as world:
        fault = world.slack.faults.add(method, "slow", seconds=ENDLESS)
        world.say(TEXT, rate=300)
        thread = await world.start("Say it.")
        await world.until(lambda: fault.hits, "the sign is to be shown")
        await world.answered(thread)
        world.slack.faults.release()
        await world.idle()
        assert not [t for t in world.threads() if t.status or t.session == "processing"]


async def test_a_mark_is_removed_even_if_the_answer_failed_and_waits_again(
    worlds: WorldFactory,
) -> None:
    """The mark cannot be removed earlier, and the next answer runs until somebody stops it."""
    impatient = patient_timing(chore_pause=0.5, chore_busy_pause=0.1)
    async with worlds(timing=impatient) as world:
        thread = await world.start("Hello.")
        await world.answered(thread)
        world.slack.faults.add("reactions.remove", "status", status=503, times=-1)
        world.say(TEXT, rate=60)
        world.fail("http", status=401)
        world.models.queue(MODEL, ModelScript(["Never"], first_after=ENDLESS))
        world.say("It works now.")
        await say(world, "One?", thread)
        ts = await say(world, "Two?", thread)
        asking = world.slack.workspace.message("general", ts)
        await world.answered(thread, 3)
        await say(world, "Three?", thread)
        await world.until(lambda: len(world.requests()) == 4, "the third one runs")
        failed = next(m for m in world.answers(thread) if elements(m, "retry_answer"))
        await world.slack.interactions.press("alice", failed, "retry_answer")
        waiting = "SELECT 1 FROM answers WHERE state = 'waiting'"
        await world.until(lambda: world.rows(waiting), "the second one waits again")
        tried = "SELECT tries, due_at FROM chores WHERE kind = 'lift_mark'"
        before = world.rows(tried)
        world.slack.faults.clear()
        await world.until(lambda: world.rows(tried) != before, "it is tried")
        await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
        await world.until(lambda: shown(failed) == "It works now.", "the second attempt")
        await world.until(lambda: REACTION not in asking.reactions, "no mark")
        await world.idle()  # the end of the visible answer is stored, and its after-work done


# -- workspaces --------------------------------------------------------------------------------------------------------


async def add_chores(world: World, thread: str, *kinds: str) -> None:
    for kind in kinds:
        await world.execute(
            """
            INSERT INTO chores (message_id, kind, due_at, tries)
            SELECT message_id, ?, strftime('%Y-%m-%d %H:%M:%f000', 'now'), 0 FROM answers
            JOIN chats ON chats.id = answers.chat_id WHERE team = ? AND thread = ?
            """,
            kind,
            world.slack.workspace.team_id,
            thread,
        )


def chores_of(world: World) -> list[Row]:
    """What is left to do for answers of this workspace."""
    query = (
        "SELECT kind FROM chores JOIN answers ON answers.message_id = chores.message_id "
        "JOIN chats ON chats.id = chat_id WHERE team = ?"
    )
    return world.rows(query, world.slack.workspace.team_id)


async def multiply_answer(world: World, thread: str, count: int) -> None:
    """A chat's only answer, and with it the chat, becomes `count` times as long."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    await world.execute(
        f"""
        INSERT INTO messages (id, chat_id, number, role, text, status, created_at, updated_at)
        {numbers} SELECT 'copy' || i, chat_id, 1000 + i, role, text, messages.status,
            messages.created_at, messages.updated_at
        FROM n, messages JOIN chats ON chats.id = chat_id WHERE role = 'assistant' AND thread = ?
        """,
        thread,
    )
    await world.execute(
        f"""
        INSERT INTO answers (message_id, chat_id, number, question_id, state, attempt, complete,
            cut, parts, stop_requested, queued, model)
        {numbers} SELECT 'copy' || i, chat_id, 1000 + i, question_id, state, attempt, complete,
            cut, '[]', stop_requested, queued, answers.model
        FROM n, answers JOIN chats ON chats.id = chat_id WHERE thread = ?
        """,
        thread,
    )


async def test_a_hanging_workspace_delays_no_chores_of_another(
    make_workspaces: TwoWorkspacesFactory,
) -> None:
    """One workspace has more chores than a process does at a time, and all of them hang.

    All set the same status, so a call that waited for the rate limit would be replaced by a newer one, and its chore
    would end.
    """
    endless = patient_timing(chore_timeout=ENDLESS, slack_call_timeout=ENDLESS)
    async with make_workspaces(timing=endless, rates=PLENTY) as workspaces:
        workspaces.reply_to({"one?": "Answer one.", "two?": "Answer two."})
        one, two = workspaces, workspaces.other
        await workspaces.install(one.slack)
        await workspaces.install(two.slack)
        threads = await one.start("one?"), await two.start("two?")
        await one.answered(threads[0])
        await two.answered(threads[1])
        await one.idle()
        fault = one.slack.faults.add(SET_STATUS, "hang", times=-1, seconds=ENDLESS)
        await multiply_answer(one, threads[0], 500)
        await add_chores(one, threads[0], "clear_status")
        await one.until(lambda: fault.hits, "the first one hangs")
        await add_chores(two, threads[1], "clear_status")
        await two.until(lambda: not chores_of(two), "the other's is done")
        assert len(chores_of(one)) > MAX_PLACES
        await one.execute("DELETE FROM chores")
        one.slack.faults.clear()


@pytest.mark.parametrize("told", [True, False])
async def test_chores_do_no_harm_after_the_app_is_removed(
    make_workspaces: TwoWorkspacesFactory, told: bool
) -> None:
    """`told`: Slack sends an event, and the chores wait until the app is installed again; else Slack refuses each, and
    they end.
    """
    soon = patient_timing(chore_pause=0.2, chore_busy_pause=0.1, sweep_interval=0.2)
    async with make_workspaces(timing=soon) as installed:
        installed.reply_to({"one?": "Answer one.", "two?": "Answer two."})
        for workspace in (installed.slack, installed.second):
            assert (await installed.install(workspace)).status_code == 200
        allow_events_of_unknown_workspaces(installed)
        installed.forgive("no_reaction")  # its question was never marked
        thread = await installed.start("one?")
        await installed.answered(thread)
        await installed.idle()
        await (installed.uninstall(installed.slack) if told else end_token(installed))
        await add_chores(installed, thread, *Chore)
        if told:
            other = await installed.other.start("two?")
            assert await installed.other.answered(other) == ["Answer two."]
            await installed.until(lambda: len(installed.chores()) == len(Chore), "all are left")
            assert (await installed.install(installed.slack)).status_code == 200
        await installed.until(lambda: not installed.chores(), "none is left")
        await installed.idle()


async def end_token(workspaces: TwoWorkspaces) -> None:
    workspaces.gateway.end(workspaces.slack)


def hesitate(asked: Any) -> ModelScript | None:
    """The model that writes titles is silent."""
    return ModelScript(["Never"], first_after=ENDLESS) if asks_for_title(asked.messages) else None


async def test_a_title_is_written_by_the_next_process(world: World) -> None:
    world.models.answer_with(MODEL, hesitate)
    thread = await world.start("Name this, please.")
    await world.answered(thread)
    await world.until(
        lambda: any(asks_for_title(asked.messages) for asked in world.models.journal), "it is asked"
    )
    await world.stop_bot()
    world.entitle("Found after a restart")  # before the next process can ask
    await world.start_bot()
    await world.until(
        lambda: world.header(thread).text.startswith("*Found after a restart*"), "the title"
    )
    assert world.slack.agent_sessions.title("general", thread) == "Found after a restart"


async def test_a_chat_whose_first_answer_was_stopped_gets_a_title(world: World) -> None:
    world.entitle("Named all the same")
    world.say(TEXT * 5, rate=20)
    thread = await world.start("Tell me.")
    await world.until(lambda: len(world.answers(thread)[0].states) > 2, "it grows")
    await world.until(lambda: world.stop_buttons(thread), "the button")
    await world.slack.interactions.press("alice", world.header(thread), "stop_answer")
    await world.answered(thread)
    await world.until(
        lambda: world.header(thread).text.startswith("*Named all the same*"), "the title"
    )


async def test_a_failed_title_is_tried_again_with_the_next_answer(world: World) -> None:
    world.entitle(None)
    thread = await world.start("Hello.")
    await world.answered(thread)
    await world.idle()
    assert world.chats()[0]["title_by"] == "default"
    world.entitle("Found the second time")
    await say(world, "And go on.", thread)
    await world.until(
        lambda: world.header(thread).text.startswith("*Found the second time*"), "the title"
    )
