"""Answers as jobs: which worker writes which one, under a lease, and how they end.

The column `state` of an answer:

    waiting --claim--> running --finish--> ended --retry--> waiting
                        |   ^
                        +---+  claim by another worker, once the lease has lapsed or was released
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, literal, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Answer, AnswerResult, MessageRef, ModelRef, Status, User
from bot.errors import ChatNotFound, ProviderError
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
    """The repository of answers.

    A worker is a process. A worker that has lost the lease gets False from every method that writes, and must make no
    further Slack call for that answer. Every method raises StorageError when the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, chat_id: str, worker_id: str, lease: float) -> Answer | None:
        """Lease the chat's next answer for `lease` seconds; None when there is none to claim.

        That is an answer whose lease has lapsed, else the oldest waiting one if none is running. If several workers
        claim at once, one gets it.
        """
        try:
            async with self._database.begin() as connection:
                return await _claim(connection, chat_id, worker_id, lease)
        except Conflict:
            # The database allows one running answer per chat, and another worker has claimed first.
            return None

    async def renew(
        self, worker_id: str, lease: float, only: Collection[str] | None = None
    ) -> dict[str, bool]:
        """Extend the worker's leases; for each answer that it still holds, whether a stop was requested.

        `only`: the answers that it is really writing, so that the lease of one it dropped lapses.
        """
        held = and_(IS_RUNNING, answers.c.owner == worker_id)
        query = (
            update(answers)
            .where(held if only is None else and_(held, answers.c.message_id.in_(only)))
            .values(lease_until=database_time(lease))
            .returning(answers.c.message_id, answers.c.stop_requested)
        )
        # Urgent: behind a queue of other writes it would come too late.
        async with self._database.begin(urgent=True) as connection:
            return {row.message_id: row.stop_requested for row in await connection.execute(query)}

    async def save_slack_messages(
        self, answer_id: str, worker_id: str, parts: tuple[MessageRef, ...]
    ) -> bool:
        """Store which Slack messages show the answer. False when the worker no longer holds it."""
        async with self._database.begin() as connection:
            return await _update_owned(connection, answer_id, worker_id, parts=parts_to_json(parts))

    async def save_result(self, answer_id: str, worker_id: str, result: AnswerResult) -> bool:
        """Store the whole result of the model; what remains is to show it. False when the worker no longer holds it."""
        usage = result.usage
        async with self._database.begin() as connection:
            still_held = await _update_owned(
                connection,
                answer_id,
                worker_id,
                complete=True,
                ending=result.status,
                detail=result.detail,
                cut=result.truncated,
                seconds=result.seconds,
                prompt_tokens=usage and usage.prompt_tokens,
                completion_tokens=usage and usage.completion_tokens,
                cost=usage and usage.cost,
                cached_tokens=usage and usage.cached_tokens,
                estimated_tokens=result.prompt.estimated_tokens or None,
                summarised=result.prompt.summarised or None,
                omitted=result.prompt.omitted or None,
            )
            if still_held:
                await _update_message(connection, answer_id, text=result.text, error=result.error)
            return still_held

    async def finish(
        self, answer_id: str, worker_id: str, parts: tuple[MessageRef, ...] | None = None
    ) -> bool:
        """End an answer whose result is stored and shown; `parts` are the Slack messages, if they changed.

        False when its result is not stored, or when the worker no longer holds it.
        """
        shown = {} if parts is None else {"parts": parts_to_json(parts)}
        ended = {"state": "ended", "owner": None, "lease_until": None, "queued": False, **shown}
        async with self._database.begin() as connection:
            parameters = {"answer": answer_id, "worker": worker_id, **ended}
            row = (await connection.execute(FINISH_ANSWER, parameters)).one_or_none()
            if row is None:
                return False
            await _update_message(connection, answer_id, status=row.ending)
            await connection.execute(UPDATE_CHAT, {"chat": row.chat_id, "updated_at": utc_now()})
            return True

    async def release(self, worker_id: str) -> list[str]:
        """End all leases of a worker that is stopping or dead; the ids of the chats.

        Any worker may claim the answers at once, and the old worker cannot write to them any more.
        """
        query = (
            update(answers)
            .where(IS_RUNNING, answers.c.owner == worker_id)
            .values(owner=null(), lease_until=database_time())
            .returning(answers.c.chat_id)
        )
        async with self._database.begin() as connection:
            return list(await connection.scalars(query))

    async def worker_ids(self) -> frozenset[str]:
        """The workers that hold a lease, lapsed or not."""
        query = (
            select(answers.c.owner)
            .where(IS_OPEN, IS_RUNNING, answers.c.owner.is_not(None))
            .distinct()
        )
        async with self._database.read() as connection:
            return frozenset(await connection.scalars(query))

    async def chats_to_claim(self, limit: int) -> list[str]:
        """Ids of chats with an answer that can be claimed, the longest waiting first."""
        idle = and_(IS_WAITING, ~OTHER_IS_RUNNING)
        query = (
            select(answers.c.chat_id, answers.c.message_id)
            .where(IS_OPEN, or_(idle, LEASE_LAPSED))
            .order_by(answers.c.message_id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return list(dict.fromkeys(await connection.scalars(query)))

    async def waiting_count(self) -> int:
        """How many answers wait to be claimed, in all processes."""
        async with self._database.read() as connection:
            return (
                await connection.scalar(
                    select(func.count()).select_from(answers).where(IS_OPEN, IS_WAITING)
                )
                or 0
            )

    async def request_stop(self, chat_id: str, source: str | None = None) -> Answer | None:
        """Request that the running answer of this chat is stopped; its worker sees it when it renews.

        The same `source` again returns the answer that it stopped before, even if that has ended since.
        """
        in_chat = answers.c.chat_id == chat_id
        query = (
            update(answers)
            .where(IS_RUNNING, in_chat)
            .values(stop_requested=True, stop_source=func.coalesce(source, answers.c.stop_source))
            .returning(answers.c.message_id)
        )
        async with self._database.begin() as connection:
            if source:
                stopped_before = and_(in_chat, answers.c.stop_source == source)
                if known := await _first(connection, stopped_before):
                    return known
            answer_id = await connection.scalar(query)
            if answer_id is None:
                return None
            return await _first(connection, answers.c.message_id == answer_id)

    async def retry(self, answer_id: str, model: ModelRef | None = None) -> Answer | None:
        """Make a failed or stopped answer wait again; its partial text stays.

        One of several callers gets it, the others get None. With a `model`, the chat continues with that one, which
        only works if the answer failed for a reason that another model may cure.
        """
        failed = and_(
            answers.c.message_id == answer_id,
            answers.c.state == "ended",
            answers.c.ending.in_((Status.FAILED, Status.STOPPED)),
        )
        async with self._database.begin() as connection:
            if model is not None:
                failed = and_(failed, _failed_with(ProviderError.codes_for_other_model()))
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
                    cached_tokens=None,
                    model=_model_of_chat() if model is None else str(model),
                )
            )
            if (await connection.execute(again)).rowcount == 0:
                return None
            await _update_message(connection, answer_id, status=Status.WAITING, error=None)
            answer = await _first(connection, answers.c.message_id == answer_id)
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
        """The result of an answer whose model has finished; None before that."""
        async with self._database.read() as connection:
            row = (await connection.execute(SELECT_ANSWER, {"answer": answer_id})).one_or_none()
            return None if row is None else to_result(row)

    async def results(self, chat_id: str) -> dict[str, AnswerResult]:
        """The results of the chat's answers whose model has finished, by the ids of the answers."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select_answers().where(answers.c.chat_id == chat_id, answers.c.complete)
            )
            results = {row.message_id: to_result(row) for row in rows}
        return {id: result for id, result in results.items() if result is not None}

    async def last_measure(self, chat_id: str, before_number: int) -> tuple[int, int] | None:
        """The estimated and the counted tokens of the chat's newest prompt of which both are known."""
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
        """The answers in this user's chats that have not ended."""
        chats_of_user = select(participants.c.chat_id).where(
            participants.c.team == user.team, participants.c.user == user.id
        )
        return await self._all(and_(IS_OPEN, answers.c.chat_id.in_(chats_of_user)))

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
            return await _first(connection, where)


async def _claim(
    connection: AsyncConnection, chat_id: str, worker_id: str, lease: float
) -> Answer | None:
    found = (await connection.execute(SELECT_NEXT_ANSWER, {"chat": chat_id})).one_or_none()
    if found is None:
        return None
    taken = await connection.execute(
        CLAIM_ANSWER, {"answer": found.message_id, "worker": worker_id, "lease": round(lease, 3)}
    )
    if taken.rowcount == 0:
        return None
    await _update_message(connection, found.message_id, status=Status.RUNNING)
    row = (await connection.execute(SELECT_ANSWER, {"answer": found.message_id})).one()
    return replace(to_answer(row), taken_over=found.owner is not None)


def _failed_with(codes: Collection[str]) -> ColumnElement[bool]:
    return exists().where(messages.c.id == answers.c.message_id, messages.c.error.in_(codes))


def _model_of_chat() -> Any:
    model = select(chats.c.provider + literal(":") + chats.c.model)
    return model.where(chats.c.id == answers.c.chat_id).scalar_subquery()


async def _update_owned(
    connection: AsyncConnection, answer_id: str, worker_id: str, **values: Any
) -> bool:
    """Update an answer if the worker still holds it."""
    done = await connection.execute(
        UPDATE_OWNED, {"answer": answer_id, "worker": worker_id, **values}
    )
    return done.rowcount > 0


async def _update_message(
    connection: AsyncConnection, message_id: str, **values: str | None
) -> None:
    await connection.execute(
        UPDATE_MESSAGE, {"message": message_id, "updated_at": utc_now(), **values}
    )


async def _first(connection: AsyncConnection, where: ColumnElement[bool]) -> Answer | None:
    row = (
        await connection.execute(select_answers().where(where).order_by(answers.c.number).limit(1))
    ).one_or_none()
    return None if row is None else to_answer(row)
