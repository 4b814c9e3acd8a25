"""Tool calls, and the pictures that they return, as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import english_strings
from bot.domain import Attachment, Image
from bot.domain.tool_calls import CallState, StoredCall, ToolCall, arguments_hash
from storage.engine.types import utc_now
from storage.statements.queries import dialect_insert
from storage.tables import tool_calls, tool_pictures

_NO_ARGUMENTS = "{}"
EMPTY_CALL = {
    "said": "",
    "round_extra": "",
    "arguments": _NO_ARGUMENTS,
    "arguments_hash": arguments_hash(_NO_ARGUMENTS),
    "extra": "",
    "result": "",
    "asker": None,
    "decided_by": None,
}
"""What remains of a call whose asker has been erased."""
ENDED_STATES = [state for state in CallState if state.ended]


def over_budget(call: StoredCall) -> StoredCall:
    """The call, marked as not made because a budget is used up: nobody is asked about it."""
    if call.state.ended:
        return call
    result = english_strings.CALL_OVER_BUDGET
    return replace(call, state=CallState.FAILED, asked=False, result=result)


def ended_with_answer(call: StoredCall) -> StoredCall:
    """The call when its answer ends, however that ends: calls that were not made won't be."""
    if call.state.ended:
        return call
    state, result = CallState.DENIED, english_strings.CALL_NOT_BEGUN
    if call.state is CallState.CALLING:
        state = CallState.FAILED if call.repeatable else CallState.UNKNOWN
        harmless = english_strings.CALL_STOPPED_HARMLESS
        result = harmless if call.repeatable else english_strings.CALL_STOPPED
    return replace(call, state=state, result=result, stopped=True)


def call_row(call: StoredCall, chat_id: str) -> dict[str, Any]:
    now = utc_now()
    return {
        "chat_id": chat_id,
        "created_at": now,
        "updated_at": now,
        "id": call.id,
        "answer_id": call.answer_id,
        "round": call.round,
        "number": call.number,
        "said": call.text_before,
        "round_extra": call.round_extra,
        "call_id": call.call.id,
        "name": call.call.name,
        "path": call.path,
        "pin": call.pin,
        "repeatable": call.repeatable,
        "arguments": call.call.arguments,
        "arguments_hash": arguments_hash(call.call.arguments),
        "extra": call.call.extra,
        "state": call.state,
        "result": call.result,
        "asker": call.asker,
        "asked": call.asked,
        "decided_by": call.decided_by,
    }


def to_call(row: Row[Any], *, overdue: bool = False) -> StoredCall:
    return StoredCall(
        id=row.id,
        answer_id=row.answer_id,
        round=row.round,
        number=row.number,
        call=ToolCall(row.call_id, row.name, row.arguments, row.extra),
        path=row.path,
        state=CallState(row.state),
        pin=row.pin,
        repeatable=row.repeatable,
        text_before=row.said,
        round_extra=row.round_extra,
        result=row.result,
        seconds=row.seconds,
        asker=row.asker,
        asked=row.asked,
        overdue=overdue,
        decided_by=row.decided_by,
        stopped=bool(row.stopped),
        message_ts=row.notice_ts,
        shown_state=CallState(row.notice_state) if row.notice_state else None,
    )


async def pictures_of(connection: AsyncConnection, where: Any) -> dict[str, list[Attachment]]:
    """What these calls have returned, by call id and in order."""
    of = tool_pictures.c
    query = (
        select(of.call_id, of.position, of.name, of.mime, func.length(of.data))
        .join(tool_calls, tool_calls.c.id == of.call_id)
        .where(where)
        .order_by(of.call_id, of.position)
    )
    found: dict[str, list[Attachment]] = defaultdict(list)
    for row in await connection.execute(query):
        found[row.call_id].append(Attachment(*row, of_call=True))
    return found


async def keep_pictures(
    connection: AsyncConnection, call_id: str, pictures: Sequence[Image]
) -> None:
    """Stores what a call has returned, once."""
    rows = [
        {"call_id": call_id, "position": at, **asdict(picture)}
        for at, picture in enumerate(pictures)
    ]
    await connection.execute(
        dialect_insert(connection, tool_pictures).on_conflict_do_nothing(), rows
    )
