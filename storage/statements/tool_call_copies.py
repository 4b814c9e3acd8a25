"""What happens to an answer's tool calls when a branch copies its chat, or its chat continues with another model."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine.types import new_id
from storage.statements.tool_call_rows import ENDED_STATES
from storage.tables import tool_calls, tool_pictures

_NOT_COPIED = {"extra": "", "round_extra": "", "notice_ts": None, "notice_state": None}


async def copy_calls(connection: AsyncConnection, old: str, new: str, chat_id: str) -> None:
    """Copies another chat's calls to an answer, without the fields that only their model understands."""
    query = select(tool_calls).where(tool_calls.c.answer_id == old)
    rows = (await connection.execute(query)).all()
    if any(row.state not in ENDED_STATES for row in rows):
        return  # it is being answered again, and the copy has nobody who could decide
    for row in rows:
        changed: dict[str, Any] = {
            "id": new_id(),
            "answer_id": new,
            "chat_id": chat_id,
            **_NOT_COPIED,
        }
        await connection.execute(insert(tool_calls), {**row._mapping, **changed})
        await _copy_pictures(connection, row.id, changed["id"])


async def _copy_pictures(connection: AsyncConnection, old: str, new: str) -> None:
    rest = [column for column in tool_pictures.c if column.name != "call_id"]
    rows = select(literal(new), *rest).where(tool_pictures.c.call_id == old)
    names = ["call_id", *(column.name for column in rest)]
    await connection.execute(insert(tool_pictures).from_select(names, rows))


async def clear_provider_fields(connection: AsyncConnection, chat_id: str) -> None:
    """The chat continues with another model, which does not understand the extra fields of the previous one."""
    of_chat = update(tool_calls).where(tool_calls.c.chat_id == chat_id)
    await connection.execute(of_chat.values(extra="", round_extra=""))
