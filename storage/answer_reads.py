"""Reads what is stored about answers: their states, their results, and where Slack shows them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import ColumnElement, and_, exists, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Answer, AnswerResult, User
from bot.errors import ChatNotFound
from storage.engine.database import Database
from storage.statements.queries import SELECT_ANSWER, SELECT_NEXT_WAITING
from storage.statements.rows import select_answers, to_answer, to_result
from storage.statements.steps import load_steps
from storage.tables import (
    IS_HELD,
    IS_OPEN,
    IS_RUNNING,
    IS_SHOWING,
    IS_UNWRITTEN,
    IS_WAITING,
    answer_steps,
    answers,
    participants,
)


class AnswerReads:
    """The read methods of the repository of answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, answer_id: str) -> Answer:
        """Raises ChatNotFound."""
        async with self._database.read() as connection:
            row = (await connection.execute(SELECT_ANSWER, {"answer": answer_id})).one_or_none()
        if row is None:
            raise ChatNotFound("no such answer")
        return to_answer(row)

    async def for_message(self, message_id: str) -> Answer | None:
        """The answer to a user's message."""
        return await self._find(answers.c.question_id == message_id)

    async def result(self, answer_id: str) -> AnswerResult | None:
        """The result of an answer whose model has finished; None before that."""
        async with self._database.read() as connection:
            row = (await connection.execute(SELECT_ANSWER, {"answer": answer_id})).one_or_none()
            result = None if row is None else to_result(row)
            if result is None:
                return None
            steps = await load_steps(connection, answer_steps.c.message_id == answer_id)
            return replace(result, steps=steps.get(answer_id, ()))

    async def results(self, chat_id: str) -> dict[str, AnswerResult]:
        """The results of the chat's answers whose model has finished, by answer id."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select_answers().where(answers.c.chat_id == chat_id, answers.c.complete)
            )
            results = {row.message_id: to_result(row) for row in rows}
            of_chat = select(answers.c.message_id).where(answers.c.chat_id == chat_id)
            steps = await load_steps(connection, answer_steps.c.message_id.in_(of_chat))
        return {
            id: replace(result, steps=steps.get(id, ()))
            for id, result in results.items()
            if result is not None
        }

    async def last_measure(self, chat_id: str, before_number: int) -> tuple[int, int] | None:
        """The estimated and the counted tokens of the chat's newest prompt for which both are known."""
        query = (
            select(answers.c.estimated_tokens, answers.c.prompt_tokens)
            .where(
                answers.c.chat_id == chat_id,
                answers.c.number < before_number,
                answers.c.estimated_tokens > 0,
                answers.c.prompt_tokens > 0,
            )
            .order_by(answers.c.number.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.estimated_tokens, row.prompt_tokens)

    async def slack_timestamps(self, chat_id: str) -> frozenset[str]:
        """Timestamps of all Slack messages that show an answer of this chat."""
        query = select(answers.c.parts).where(
            answers.c.chat_id == chat_id, answers.c.parts.is_not(None)
        )
        async with self._database.read() as connection:
            return frozenset(
                part["ts"] for parts in await connection.scalars(query) for part in parts
            )

    async def open_for(self, user: User) -> list[Answer]:
        """The answers in this user's chats that are still to be written."""
        chats_of_user = select(participants.c.chat_id).where(
            participants.c.team == user.team, participants.c.user == user.id
        )
        unwritten = and_(IS_OPEN, IS_UNWRITTEN)
        return await self._all(and_(unwritten, answers.c.chat_id.in_(chats_of_user)))

    async def by_ids(self, answer_ids: Collection[str]) -> list[Answer]:
        """The answers with these ids."""
        return await self._all(answers.c.message_id.in_(answer_ids))

    async def running(self, chat_id: str) -> Answer | None:
        """The running answer of this chat, even if its lease has lapsed."""
        return await self._find(and_(IS_RUNNING, answers.c.chat_id == chat_id))

    async def next_waiting(self, chat_id: str) -> Answer | None:
        async with self._database.read() as connection:
            row = (await connection.execute(SELECT_NEXT_WAITING, {"chat": chat_id})).one_or_none()
            return None if row is None else to_answer(row)

    async def is_waiting(self, answer_id: str) -> bool:
        return await self._exists(and_(IS_WAITING, answers.c.message_id == answer_id))

    async def has_unshown_before(self, answer: Answer) -> bool:
        """Whether an earlier answer of the same chat is not completely visible yet."""
        earlier = and_(answers.c.chat_id == answer.chat_id, answers.c.number < answer.number)
        return await self._exists(and_(IS_OPEN, IS_SHOWING, earlier))

    async def is_busy(self, chat_id: str) -> bool:
        """Whether an answer of this chat is being written or shown, or waits for a decision."""
        return await self._exists(and_(IS_OPEN, IS_HELD, answers.c.chat_id == chat_id))

    async def is_at_work(self, chat_id: str) -> bool:
        """Whether an answer of this chat is being written or shown, and does not wait for a decision."""
        at_work = and_(IS_OPEN, IS_HELD, answers.c.parked.is_not(true()))
        return await self._exists(and_(at_work, answers.c.chat_id == chat_id))

    async def _exists(self, where: ColumnElement[bool]) -> bool:
        async with self._database.read() as connection:
            return bool(await connection.scalar(select(exists().where(where))))

    async def _all(self, where: ColumnElement[bool]) -> list[Answer]:
        async with self._database.read() as connection:
            rows = await connection.execute(
                select_answers().where(where).order_by(answers.c.message_id)
            )
            return [to_answer(row) for row in rows]

    async def _find(self, where: ColumnElement[bool]) -> Answer | None:
        async with self._database.read() as connection:
            return await first_answer(connection, where)


async def first_answer(connection: AsyncConnection, where: ColumnElement[bool]) -> Answer | None:
    """The first answer of its chat that meets this condition."""
    row = (
        await connection.execute(select_answers().where(where).order_by(answers.c.number).limit(1))
    ).one_or_none()
    return None if row is None else to_answer(row)
