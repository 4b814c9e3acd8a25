"""The steps of answers: stored with an answer's result, replaced by those of its next attempt.

All functions run inside the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.steps import Step, StepKind, StepStatus
from storage.tables import answer_steps

_KNOWN = and_(answer_steps.c.kind.in_(list(StepKind)), answer_steps.c.status.in_(list(StepStatus)))
"""A newer version, running beside this one, may have stored others."""


async def add_steps(connection: AsyncConnection, answer_id: str, steps: Sequence[Step]) -> None:
    """Stores the steps of an answer that has none."""
    if steps:
        rows = [_row(answer_id, step) for step in steps]
        await connection.execute(insert(answer_steps), rows)


def without_contents(steps: Sequence[Step]) -> list[Step]:
    """The same steps without their details, such as a call's arguments: the asker has been erased."""
    return [replace(step, detail="") for step in steps]


async def remove_steps(connection: AsyncConnection, answer_id: str) -> None:
    """Removes the steps, because the answer starts over."""
    await connection.execute(delete(answer_steps).where(answer_steps.c.message_id == answer_id))


async def load_steps(
    connection: AsyncConnection, where: ColumnElement[bool]
) -> Mapping[str, tuple[Step, ...]]:
    """Loads the steps of the answers that match, in order, by answer id; answers without steps are left out.

    `where`: a condition on `answer_steps.c.message_id`.
    """
    query = select(answer_steps).where(where, _KNOWN)
    query = query.order_by(answer_steps.c.message_id, answer_steps.c.number)
    found: dict[str, list[Step]] = defaultdict(list)
    for row in await connection.execute(query):
        found[row.message_id].append(_to_step(row))
    return {answer: tuple(steps) for answer, steps in found.items()}


async def copy_steps(connection: AsyncConnection, old: str, new: str) -> None:
    """Gives one answer the steps of another."""
    rest = [column for column in answer_steps.c if column.name != "message_id"]
    rows = select(literal(new), *rest).where(answer_steps.c.message_id == old)
    names = ["message_id", *(column.name for column in rest)]
    await connection.execute(insert(answer_steps).from_select(names, rows))


def _row(answer_id: str, step: Step) -> dict[str, Any]:
    return {
        "message_id": answer_id,
        "number": step.number,
        "kind": step.kind,
        "name": step.name,
        "status": step.status,
        "seconds": step.seconds,
        "detail": step.detail,
    }


def _to_step(row: Any) -> Step:
    return Step(
        number=row.number,
        kind=StepKind(row.kind),
        name=row.name,
        status=StepStatus(row.status),
        seconds=row.seconds,
        detail=row.detail,
    )
