"""The states of an answer that a worker writes: stop keeps the text, release and abort end all work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.answers.lease import ClockReading, Lease
from bot.answers.running_answer import RunningAnswer, RunState
from bot.domain import MessageRef
from storage.answers import Answers
from storage.chats import Chats
from storage.engine.database import Database
from tests.storage.chat_builder import ChatBuilder

STATES = list(RunState)
ALLOWED = {
    (RunState.WRITING, RunState.STOPPING),
    (RunState.WRITING, RunState.SHOWING),
    (RunState.STOPPING, RunState.SHOWING),
    (RunState.SHOWING, RunState.FINISHING),
    *((state, RunState.RELEASED) for state in STATES if state is not RunState.RELEASED),
}


@pytest.fixture
async def run(migrated_sqlite: Path, tmp_path: Path) -> AsyncIterator[RunningAnswer]:
    """An answer that worker `me` has claimed."""
    path = tmp_path / "bobbin.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    database = Database.open(f"sqlite:///{path}")
    answers = Answers(database)
    said = await ChatBuilder(Chats(database), answers).start()
    claimed = await answers.claim(said.chat.id, "me", 60.0)
    assert claimed is not None
    lease = Lease(ClockReading(), lambda: None, safe_for=60.0)
    yield RunningAnswer(claimed, answers, "me", lease)
    await database.close()


@pytest.mark.parametrize("start", STATES)
@pytest.mark.parametrize("target", STATES)
async def test_only_the_drawn_transitions_happen(
    run: RunningAnswer, start: RunState, target: RunState
) -> None:
    run.state = start
    allowed = (start, target) in ALLOWED
    assert run.enter(target) is allowed
    assert run.state is (target if allowed else start)


async def test_stop_cancels_the_model_call_and_only_that(run: RunningAnswer) -> None:
    run.model_task = asyncio.create_task(asyncio.sleep(60))
    run.write_task = asyncio.create_task(asyncio.sleep(60))
    run.stop()
    await asyncio.wait([run.model_task])
    assert run.model_task.cancelled()
    assert not run.write_task.done()
    run.write_task.cancel()


async def test_stop_changes_nothing_once_the_text_is_stored(run: RunningAnswer) -> None:
    run.enter(RunState.SHOWING)
    run.stop()
    assert run.state is RunState.SHOWING


async def test_abort_cancels_all_work_and_all_waits_for_the_lease(run: RunningAnswer) -> None:
    run.write_task = asyncio.create_task(asyncio.sleep(60))
    run.invalidate()
    waiting = asyncio.create_task(run.confirm())
    await asyncio.sleep(0)
    run.abort()
    await asyncio.wait([waiting, run.write_task])
    assert waiting.cancelled()
    assert run.write_task.cancelled()
    assert run.state is RunState.RELEASED


async def test_recording_messages_of_an_answer_that_another_worker_holds_aborts(
    run: RunningAnswer,
) -> None:
    states = [run.state]
    for _ in range(2):
        await run.record_messages((MessageRef("1.1", streaming=False),))
        states.append(run.state)
        await run.answers.release("me")
    assert states == [RunState.WRITING, RunState.WRITING, RunState.RELEASED]
