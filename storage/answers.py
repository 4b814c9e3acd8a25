"""Answers as work: who writes which, under a lease, and how they end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Answer, AnswerResult, MessageRef, ModelRef, Status, User
from bot.errors import ChatNotFound, ModelGone
from storage.engine.database import Conflict, Database
from storage.engine.types import database_time, utc_now
from storage.queries import (
    CLAIM_ANSWER,
    FINISH_ANSWER,
    LEASE_LAPSED,
    OTHER_IS_RUNNING,
    SELECT_ANSWER,
    SELECT_NEXT_ANSWER,
    SELECT_NEXT_WAITING,
    UPDATE_CHAT,
    UPDATE_MESSAGE,
    UPDATE_OWNED,
)
from storage.rows import parts_to_json, select_answers, to_answer, to_result
from storage.tables import IS_OPEN, IS_RUNNING, IS_WAITING, answers, chats, messages, participants


class Answers:
    """Owners are processes; whoever has lost the lease gets False and must fall silent. All raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, chat_id: str, owner: str, lease: float) -> Answer | None:
        """Take the chat's next piece of work for `lease` seconds, or None when there is none to take.

        That is an answer whose owner has let the lease lapse, else the oldest waiting one if none is running.
        Of several who try at once, one gets it.
        """
        try:
            async with self._database.begin() as connection:
                return await _claim(connection, chat_id, owner, lease)
        except (
            Conflict
        ):  # the database allows one running answer per chat, and somebody else's came first
            return None

    async def renew(
        self, owner: str, lease: float, only: Collection[str] | None = None
    ) -> dict[str, bool]:
        """Extend this owner's leases; tells for each answer still its own whether a stop was asked for.

        `only`: the answers that it is really writing, so that one it dropped is left to lapse.
        """
        mine = and_(IS_RUNNING, answers.c.owner == owner)
        query = (
            update(answers)
            .where(mine if only is None else and_(mine, answers.c.message_id.in_(only)))
            .values(lease_until=database_time(lease))
            .returning(answers.c.message_id, answers.c.stop_requested)
        )
        async with self._database.begin(
            urgent=True
        ) as connection:  # behind a crowd's writes it would come too late
            return {row.message_id: row.stop_requested for row in await connection.execute(query)}

    async def save_parts(self, answer_id: str, owner: str, parts: tuple[MessageRef, ...]) -> bool:
        """Keep which Slack messages show the answer. False when it is no longer this owner's."""
        async with self._database.begin() as connection:
            return await _held(connection, answer_id, owner, parts=parts_to_json(parts))

    async def save_result(self, answer_id: str, owner: str, result: AnswerResult) -> bool:
        """Store the model's whole work; what remains is to show it. False when it is no longer this owner's."""
        usage = result.usage
        async with self._database.begin() as connection:
            held = await _held(
                connection,
                answer_id,
                owner,
                complete=True,
                ending=result.status,
                detail=result.detail,
                cut=result.truncated,
                seconds=result.seconds,
                prompt_tokens=usage and usage.prompt_tokens,
                completion_tokens=usage and usage.completion_tokens,
                cost=usage and usage.cost,
            )
            if held:
                await _message(connection, answer_id, text=result.text, error=result.error)
            return held

    async def finish(
        self, answer_id: str, owner: str, parts: tuple[MessageRef, ...] | None = None
    ) -> bool:
        """End an answer that is written and shown, in these `parts` if they are not recorded yet.

        False when it is not written, or is no longer this owner's.
        """
        shown = {} if parts is None else {"parts": parts_to_json(parts)}
        ended = {"state": "ended", "owner": None, "lease_until": None, "queued": False, **shown}
        async with self._database.begin() as connection:
            found = await connection.execute(
                FINISH_ANSWER, {"answer": answer_id, "holder": owner, **ended}
            )
            row = found.one_or_none()
            if row is None:
                return False
            await _message(connection, answer_id, status=row.ending)
            await connection.execute(UPDATE_CHAT, {"chat": row.chat_id, "updated_at": utc_now()})
            return True

    async def release(self, owner: str) -> list[str]:
        """Give back all that this owner, who is ending or dead, was writing; the ids of the chats.

        Anybody may take it at once, and nothing of the owner's can come after it.
        """
        query = (
            update(answers)
            .where(IS_RUNNING, answers.c.owner == owner)
            .values(owner=null(), lease_until=database_time())
            .returning(answers.c.chat_id)
        )
        async with self._database.begin() as connection:
            return list(await connection.scalars(query))

    async def owners(self) -> frozenset[str]:
        """Who holds a lease, lapsed or not."""
        query = (
            select(answers.c.owner)
            .where(IS_OPEN, IS_RUNNING, answers.c.owner.is_not(None))
            .distinct()
        )
        async with self._database.read() as connection:
            return frozenset(await connection.scalars(query))

    async def chats_to_claim(self, limit: int) -> list[str]:
        """Ids of chats with work that nobody holds, the longest waiting first."""
        idle = and_(IS_WAITING, ~OTHER_IS_RUNNING)
        query = (
            select(answers.c.chat_id, answers.c.message_id)
            .where(IS_OPEN, or_(idle, LEASE_LAPSED))
            .order_by(answers.c.message_id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return list(dict.fromkeys(await connection.scalars(query)))

    async def lapsed(self) -> frozenset[str]:
        """The answers whose owner let the lease lapse without giving them back."""
        query = select(answers.c.message_id).where(
            IS_OPEN, LEASE_LAPSED, answers.c.owner.is_not(None)
        )
        async with self._database.read() as connection:
            return frozenset(await connection.scalars(query))

    async def waiting_count(self) -> int:
        """How many answers wait to be taken, in all processes."""
        async with self._database.read() as connection:
            return (
                await connection.scalar(
                    select(func.count()).select_from(answers).where(IS_OPEN, IS_WAITING)
                )
                or 0
            )

    async def request_stop(self, chat_id: str, source: str | None = None) -> Answer | None:
        """Mark the answer that is being written in this chat as to be stopped; its owner sees it when it renews.

        The same `source` again gives the answer that it stopped, however that has ended since.
        """
        mine = answers.c.chat_id == chat_id
        query = (
            update(answers)
            .where(IS_RUNNING, mine)
            .values(stop_requested=True, stop_source=func.coalesce(source, answers.c.stop_source))
            .returning(answers.c.message_id)
        )
        async with self._database.begin() as connection:
            if source and (
                known := await _one(connection, and_(mine, answers.c.stop_source == source))
            ):
                return known
            answer_id = await connection.scalar(query)
            return (
                None
                if answer_id is None
                else await _one(connection, answers.c.message_id == answer_id)
            )

    async def retry(self, answer_id: str, model: ModelRef | None = None) -> Answer | None:
        """Let a failed answer wait again; what it had written stays. Of several who ask, one gets it, others None.

        With a `model`, the chat goes on with that one: only where the answer failed because the old one is gone.
        """
        failed = and_(
            answers.c.message_id == answer_id,
            answers.c.state == "ended",
            answers.c.ending == Status.FAILED,
        )
        async with self._database.begin() as connection:
            if model is not None:
                failed = and_(failed, _failed_with(ModelGone.code))
            again = (
                update(answers)
                .where(failed)
                .values(
                    state="waiting",
                    complete=False,
                    ending=None,
                    detail=None,
                    cut=False,
                    stop_requested=False,
                    seconds=None,
                    prompt_tokens=None,
                    completion_tokens=None,
                    cost=None,
                    model=_model_of_chat() if model is None else str(model),
                )
            )
            if (await connection.execute(again)).rowcount == 0:
                return None
            await _message(connection, answer_id, status=Status.WAITING, error=None)
            answer = await _one(connection, answers.c.message_id == answer_id)
            if model is not None and answer is not None:
                changed = {"provider": model.provider, "model": model.name, "updated_at": utc_now()}
                await connection.execute(
                    update(chats).where(chats.c.id == answer.chat_id).values(changed)
                )
            return answer

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
        """How a written answer ends, with all that was stored; None while its model has not ended."""
        async with self._database.read() as connection:
            row = (await connection.execute(SELECT_ANSWER, {"answer": answer_id})).one_or_none()
            return None if row is None else to_result(row)

    async def slack_timestamps(self, chat_id: str) -> frozenset[str]:
        """The ts of every Slack message that shows an answer of this chat."""
        query = select(answers.c.parts).where(
            answers.c.chat_id == chat_id, answers.c.parts.is_not(None)
        )
        async with self._database.read() as connection:
            return frozenset(
                part["ts"] for parts in await connection.scalars(query) for part in parts
            )

    async def open_for(self, user: User) -> list[Answer]:
        """The answers in this person's chats that have not ended."""
        mine = select(participants.c.chat_id).where(
            participants.c.team == user.team, participants.c.user == user.id
        )
        return await self._all(and_(IS_OPEN, answers.c.chat_id.in_(mine)))

    async def by_ids(self, answer_ids: Collection[str]) -> list[Answer]:
        """The answers with these ids, as they are now."""
        return await self._all(answers.c.message_id.in_(answer_ids))

    async def running(self, chat_id: str) -> Answer | None:
        """The answer that is being written in this chat, or whose lease has lapsed."""
        return await self._find(and_(IS_RUNNING, answers.c.chat_id == chat_id))

    async def next_waiting(self, chat_id: str) -> Answer | None:
        async with self._database.read() as connection:
            row = (await connection.execute(SELECT_NEXT_WAITING, {"chat": chat_id})).one_or_none()
            return None if row is None else to_answer(row)

    async def is_waiting(self, answer_id: str) -> bool:
        async with self._database.read() as connection:
            query = select(exists().where(IS_WAITING, answers.c.message_id == answer_id))
            return bool(await connection.scalar(query))

    async def _all(self, where: ColumnElement[bool]) -> list[Answer]:
        async with self._database.read() as connection:
            rows = await connection.execute(
                select_answers().where(where).order_by(answers.c.message_id)
            )
            return [to_answer(row) for row in rows]

    async def _find(self, where: ColumnElement[bool]) -> Answer | None:
        async with self._database.read() as connection:
            return await _one(connection, where)


async def _claim(
    connection: AsyncConnection, chat_id: str, owner: str, lease: float
) -> Answer | None:
    found = (await connection.execute(SELECT_NEXT_ANSWER, {"chat": chat_id})).one_or_none()
    if found is None:
        return None
    taken = await connection.execute(
        CLAIM_ANSWER, {"answer": found.message_id, "holder": owner, "lease": round(lease, 3)}
    )
    if taken.rowcount == 0:
        return None
    await _message(connection, found.message_id, status=Status.RUNNING)
    row = (await connection.execute(SELECT_ANSWER, {"answer": found.message_id})).one()
    return replace(to_answer(row), taken_over=found.owner is not None)


def _failed_with(code: str) -> ColumnElement[bool]:
    return exists().where(messages.c.id == answers.c.message_id, messages.c.error == code)


def _model_of_chat() -> Any:
    mine = chats.c.id == answers.c.chat_id
    return select(chats.c.provider + literal(":") + chats.c.model).where(mine).scalar_subquery()


async def _held(connection: AsyncConnection, answer_id: str, owner: str, **values: Any) -> bool:
    """Change an answer if it is this owner's."""
    done = await connection.execute(UPDATE_OWNED, {"answer": answer_id, "holder": owner, **values})
    return done.rowcount > 0


async def _message(connection: AsyncConnection, message_id: str, **values: str | None) -> None:
    await connection.execute(
        UPDATE_MESSAGE, {"message": message_id, "updated_at": utc_now(), **values}
    )


async def _one(connection: AsyncConnection, where: ColumnElement[bool]) -> Answer | None:
    row = (
        await connection.execute(select_answers().where(where).order_by(answers.c.number).limit(1))
    ).one_or_none()
    return None if row is None else to_answer(row)
