"""The tool results of a chat's earlier answers, as much of them as its model is sent again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import and_, case, exists, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.tool_calls import ToolCall, ToolRound, pictures_left_out
from storage.engine.database import Database
from storage.statements.images import ImageBudget, first_kept
from storage.statements.tool_call_rows import ENDED_STATES
from storage.tables import answers, messages, tool_calls, tool_pictures

LEFT_OUT = "[What this call returned is left out here]"
FIRST_ANSWER = 2
"""The number of a chat's first answer, before which there were no calls."""
MAX_OLD_ARGUMENTS = 500
"""Characters of the arguments of calls whose results are left out; longer arguments are left out too."""
_HAS_PICTURES = exists().where(tool_pictures.c.call_id == tool_calls.c.id)


@dataclass(frozen=True, slots=True)
class EarlierToolCalls:
    """The calls for one earlier answer, whether it succeeded or not."""

    answer_id: str
    question_id: str
    rounds: tuple[ToolRound, ...] = field(repr=False)


class ToolCallHistory:
    """Reads the calls of a chat. Raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def before(self, chat_id: str, number: int, budget: int) -> list[EarlierToolCalls]:
        """The calls of the answers before message `number` of a chat, oldest first.

        The newest ones have their results. If all together exceed `budget` characters, enough old ones lose theirs to
        free half of it, so that what is sent stays the same for many turns.
        """
        if number <= FIRST_ANSWER:
            return []
        async with self._database.read() as connection:
            sizes = await _sizes(connection, chat_id, number)
            if not sizes:
                return []
            first = first_kept([[size] for size in sizes.values()], ImageBudget(len(sizes), budget))
            return await _load(connection, list(sizes)[:first], list(sizes)[first:])


async def _sizes(connection: AsyncConnection, chat_id: str, number: int) -> Mapping[str, int]:
    """The number of characters in each answer's calls, by answer id, oldest first; without answers that still call
    tools.
    """
    columns = (tool_calls.c.said, tool_calls.c.arguments, tool_calls.c.result)
    size = func.sum(sum((func.length(column) for column in columns), literal(0)))
    unfinished = func.sum(case((tool_calls.c.state.in_(ENDED_STATES), 0), else_=1))
    query = (
        select(tool_calls.c.answer_id, size.label("size"))
        .join(messages, messages.c.id == tool_calls.c.answer_id)
        .where(tool_calls.c.chat_id == chat_id, messages.c.number < number)
        .group_by(tool_calls.c.answer_id, messages.c.number)
        .having(unfinished == 0)
        .order_by(messages.c.number)
    )
    return {row.answer_id: row.size for row in await connection.execute(query)}


async def _load(
    connection: AsyncConnection, old: Sequence[str], kept: Sequence[str]
) -> list[EarlierToolCalls]:
    is_old = tool_calls.c.answer_id.in_(old)
    long = func.length(tool_calls.c.arguments) > MAX_OLD_ARGUMENTS
    sent = [
        case((is_old, LEFT_OUT), else_=tool_calls.c.result).label("result"),
        case((is_old, False), else_=_HAS_PICTURES).label("pictured"),
        case((and_(is_old, long), "{}"), else_=tool_calls.c.arguments).label("arguments"),
    ]
    rest = [column for column in tool_calls.c if column.name not in ("result", "arguments")]
    query = (
        select(*rest, *sent, answers.c.question_id)
        .join(answers, answers.c.message_id == tool_calls.c.answer_id)
        .where(tool_calls.c.answer_id.in_([*old, *kept]))
        .order_by(answers.c.number, tool_calls.c.round, tool_calls.c.number)
    )
    rows = (await connection.execute(query)).all()
    by_answer = groupby(rows, lambda row: (row.answer_id, row.question_id))
    return [EarlierToolCalls(*ids, _rounds(calls)) for ids, calls in by_answer]


def _rounds(rows: Iterable[Any]) -> tuple[ToolRound, ...]:
    turns = (list(turn) for _, turn in groupby(rows, lambda row: row.round))
    return tuple(
        ToolRound(
            turn[0].said,
            tuple(ToolCall(row.call_id, row.name, row.arguments, row.extra) for row in turn),
            tuple(pictures_left_out(row.result) if row.pictured else row.result for row in turn),
            turn[0].round_extra,
        )
        for turn in turns
    )
