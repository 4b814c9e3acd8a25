"""Claims, changes and restarts answers: the statements run inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Answer, ModelRef, NearBudget, Status
from bot.domain.chores import Chore
from bot.usage.calls import Call, Estimate, Payer, call_for_answer, payer_of
from bot.usage.limits import Limits
from storage.engine.types import utc_now
from storage.statements.chores import add_chores
from storage.statements.ledger_rows import record
from storage.statements.queries import (
    CLAIM_ANSWER,
    SELECT_ANSWER,
    SELECT_CHAT,
    UPDATE_MESSAGE,
    UPDATE_OWNED,
)
from storage.statements.rows import near_budgets_to_json, to_answer, to_chat
from storage.statements.spending import admit, mark_warned
from storage.statements.steps import remove_steps
from storage.tables import IS_OPEN, IS_WAITING, answers, attachments, chats


async def claim_answer(
    connection: AsyncConnection,
    limits: Limits,
    select_next: Select[Any],
    chat_id: str,
    worker_id: str,
    lease: float,
) -> Answer | None:
    """Leases the chat's next answer; None if there is none, or another worker was faster.

    `select_next`: a statement that finds it, like `SELECT_ANSWER_TO_CLAIM`.
    """
    found = (await connection.execute(select_next, {"chat": chat_id})).one_or_none()
    if found is None:
        return None
    taken = await connection.execute(
        CLAIM_ANSWER, {"answer": found.message_id, "worker": worker_id, "lease": round(lease, 3)}
    )
    if taken.rowcount == 0:
        return None
    if found.state != "showing":
        await update_message(connection, found.message_id, status=Status.RUNNING)
    if found.state == "waiting" and found.queued:
        await _note_several(connection, chat_id, found.message_id)
    row = (await connection.execute(SELECT_ANSWER, {"answer": found.message_id})).one()
    answer = to_answer(row)
    if found.state == "running" and row.call is not None:
        await _record_lost_call(connection, limits, answer, row)
    answer = replace(
        answer,
        resumed=found.state != "waiting",
        taken_over=found.owner is not None,
        follows_unshown=bool(found.follows_unshown),
        stop_hidden=bool(found.stop_hidden),
    )
    await add_chores(connection, answer.id, _chores_of_beginning(answer, found.in_slack))
    return answer


async def _note_several(connection: AsyncConnection, chat_id: str, claimed: str) -> None:
    """Marks the answers that wait, and the claimed one that has just been waiting with them."""
    waiting = and_(answers.c.chat_id == chat_id, IS_OPEN, IS_WAITING)
    mark = update(answers).values(among_several=True)
    if (await connection.execute(mark.where(waiting))).rowcount > 0:
        await connection.execute(mark.where(answers.c.message_id == claimed))


async def _record_lost_call(
    connection: AsyncConnection, limits: Limits, answer: Answer, row: Row[Any]
) -> None:
    """Records the model call of an earlier worker that died before reporting what it used: it counts by its estimate.

    Unless the ledger has the call: then the worker ended between two calls.
    """
    chat = to_chat((await connection.execute(SELECT_CHAT, {"chat": answer.chat_id})).one())
    lost = call_for_answer(row.call, chat, answer, ModelRef.parse(row.model))
    lost = lost.estimated(Estimate(row.call_tokens, row.call_cost))
    await record(connection, limits, lost.payer, [lost])


async def settle_answer(
    connection: AsyncConnection,
    limits: Limits,
    payer: Payer,
    answer_id: str,
    calls: Sequence[Call],
    admitted_at: datetime | None,
) -> tuple[NearBudget, ...]:
    """Records what an ended answer has used, and what its footer says about budgets.

    `payer`: whom it is charged to now; the asker may have been erased since the model was asked.
    """
    near = await record(connection, limits, payer, calls, admitted_at)
    notices = await mark_warned(connection, near, payer)
    if limits.budgets:
        settled: dict[str, str | None] = {"admitted_at": None}
        if notices:
            settled["budget_notice"] = near_budgets_to_json(notices)
        same = answers.c.message_id == answer_id
        await connection.execute(update(answers).where(same).values(settled))
    return notices


async def admit_again(connection: AsyncConnection, limits: Limits, answer_id: str) -> None:
    """Counts the retry of an answer like another message from the asker. Raises BudgetReached."""
    if not any(limits):
        return
    again = update(answers).where(answers.c.message_id == answer_id)
    again = again.values(admitted_at=utc_now()).returning(answers.c.chat_id, answers.c.asker)
    row = (await connection.execute(again)).one()
    chat = to_chat((await connection.execute(SELECT_CHAT, {"chat": row.chat_id})).one())
    await admit(connection, limits, payer_of(chat, row.asker))


def _chores_of_beginning(answer: Answer, in_slack: bool) -> dict[Chore, float]:
    """The chores, besides the text, that are due when a worker claims an answer."""
    due: dict[Chore, float] = {}
    if (
        in_slack and answer.question_ts is None and answer.attempt == 1
    ):  # later it is done, or left alone
        due[Chore.SHOW_QUESTION] = 0.0
    if answer.was_queued and answer.question_ts is not None:
        due[Chore.REMOVE_QUEUED_REACTION] = 0.0
    if in_slack and answer.stop_hidden and not answer.text_complete:
        due[Chore.SHOW_STOP] = 0.0
    return due


async def begin_again(connection: AsyncConnection, answer_id: str) -> None:
    """Makes an ended answer wait again, for the chat's current model."""
    again = {
        "state": "waiting",
        "retry_requested": False,
        "complete": False,
        "ending": None,
        "detail": None,
        "cut": False,
        "stop_requested": False,
        "stopped_by": None,
        "pictures": None,
        "parked": None,
        "seconds": None,
        "prompt_tokens": None,
        "completion_tokens": None,
        "cost": None,
        "cached_tokens": None,
        "budget_notice": None,
        "model": _model_of_chat(),
    }
    await connection.execute(update(answers).where(answers.c.message_id == answer_id).values(again))
    await update_message(connection, answer_id, status=Status.WAITING, error=None)
    await remove_steps(connection, answer_id)
    await connection.execute(delete(attachments).where(attachments.c.message_id == answer_id))


def _model_of_chat() -> Any:
    model = select(chats.c.provider + literal(":") + chats.c.model)
    return model.where(chats.c.id == answers.c.chat_id).scalar_subquery()


async def update_owned(
    connection: AsyncConnection, answer_id: str, worker_id: str, **values: Any
) -> bool:
    """Updates an answer if the worker still holds it."""
    done = await connection.execute(
        UPDATE_OWNED, {"answer": answer_id, "worker": worker_id, **values}
    )
    return done.rowcount > 0


async def update_message(
    connection: AsyncConnection, message_id: str, **values: str | None
) -> None:
    """Changes the message that belongs to an answer."""
    await connection.execute(
        UPDATE_MESSAGE, {"message": message_id, "updated_at": utc_now(), **values}
    )
