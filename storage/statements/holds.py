"""Who may change an answer that calls tools: its worker, or whoever decides about a call while it is parked.

Each function locks the answer's row first, so that concurrent decisions are serialised.
"""

from __future__ import annotations

from enum import Enum, auto

from sqlalchemy import and_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine.types import database_time
from storage.statements.queries import UPDATE_OWNED
from storage.tables import IS_RUNNING, answers, tool_calls


class Hold(Enum):
    """Whether a worker may continue with an answer's calls."""

    HELD = auto()
    STOPPED = auto()
    """The worker still holds the answer, but it was stopped: no more calls are made."""
    LOST = auto()
    """Another worker may have the answer."""


async def hold(connection: AsyncConnection, answer_id: str, worker_id: str) -> Hold:
    """Checks the worker's hold. Until the transaction has ended, nobody takes over or stops an answer that is held."""
    touched = UPDATE_OWNED.where(IS_RUNNING).returning(answers.c.stop_requested)
    is_stopped = await connection.scalar(
        touched, {"answer": answer_id, "worker": worker_id, "parked": False}
    )
    if is_stopped is None:
        return Hold.LOST
    return Hold.STOPPED if is_stopped else Hold.HELD


async def hold_answer(connection: AsyncConnection, call_id: str) -> None:
    """Until the transaction has ended, nobody parks or claims the answer that the call belongs to."""
    answer_id = select(tool_calls.c.answer_id).where(tool_calls.c.id == call_id).scalar_subquery()
    await connection.execute(
        select(answers.c.message_id).where(answers.c.message_id == answer_id).with_for_update()
    )


async def unpark(connection: AsyncConnection, answer_id: str) -> None:
    """Any worker may now claim the answer."""
    parked = and_(answers.c.message_id == answer_id, answers.c.parked == true(), IS_RUNNING)
    await connection.execute(
        update(answers).where(parked, answers.c.owner.is_(None)).values(lease_until=database_time())
    )
