"""Answers as jobs: which worker writes which one, under a lease, and how they end.

The column `state` of an answer:

    waiting --claim--> running --save_result--> showing --finish--> ended
       ^                |   ^                    |   ^               |  |
       |                +---+                    +---+ <-show_again--+  |
       |                claim by another worker, once the lease has     |
       |                lapsed or was released                          |
       +------------------------- retry, of a failed answer ------------+

A running answer has no text yet, so the next answer of its chat waits for it. From `save_result` on, the text is stored
and the message has its final status: the next answer may be claimed, however long it takes to show this one. Pressing
Retry while the failure is being shown sets `retry_requested`, and `finish` then leads to waiting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    exists,
    func,
    not_,
    null,
    or_,
    select,
    update,
)

from bot.domain import Answer, AnswerResult, Image, MessageRef, ModelRef, Status
from bot.domain.chores import Chore
from bot.errors import ProviderError
from bot.usage.calls import Call, Estimate, payer_of
from bot.usage.limits import NO_LIMITS, Limits
from storage.answer_reads import AnswerReads, first_answer
from storage.engine.database import Conflict, Database
from storage.engine.types import database_time, utc_now
from storage.served_teams import Serves, every_team, in_served_team
from storage.statements.answer_lifecycle import (
    admit_again,
    begin_again,
    claim_answer,
    settle_answer,
    update_message,
    update_owned,
)
from storage.statements.chores import add_chores
from storage.statements.images import replace_images
from storage.statements.queries import (
    ASK_TO_STOP,
    FINISH_ANSWER,
    LEASE_LAPSED,
    OTHER_IS_RUNNING,
    SELECT_ANSWER_TO_CLAIM,
    STORE_RESULT,
    TOUCH_CHAT,
    locked_in_order,
)
from storage.statements.rows import (
    parts_to_json,
    result_row,
    sources_to_json,
    to_chat,
)
from storage.statements.steps import add_steps, without_contents
from storage.statements.tool_call_copies import clear_provider_fields
from storage.tables import (
    IS_HELD,
    IS_OPEN,
    IS_RUNNING,
    IS_SHOWING,
    IS_UNWRITTEN,
    IS_WAITING,
    answers,
    chats,
    messages,
)


class Finished(Enum):
    """The state of an answer after `finish`."""

    ENDED = auto()
    WAITS_AGAIN = auto()
    """A user had asked for another attempt in the meantime."""


class Answers(AnswerReads):
    """The repository of answers.

    A worker that has lost the lease gets False from every method that writes, and must make no further Slack call for
    that answer. Every method raises StorageError when the database fails.
    """

    def __init__(
        self, database: Database, limits: Limits = NO_LIMITS, serves: Serves = every_team
    ) -> None:
        """`limits`: what people may use.

        `serves`: the workspaces whose answers this process claims, looks for, or takes over from dead workers.
        """
        super().__init__(database)
        self._limits = limits
        self._is_served = in_served_team(serves, answers.c.chat_id)
        self._select_next = SELECT_ANSWER_TO_CLAIM.where(self._is_served)

    async def claim(self, chat_id: str, worker_id: str, lease: float) -> Answer | None:
        """Leases the chat's next answer for `lease` seconds; None if there is none to claim.

        That is an answer whose lease has lapsed, else the oldest waiting one if none is running. If several workers
        claim at once, one gets it. What follows from starting it is added as chores.
        """
        try:
            async with self._database.begin() as connection:
                return await claim_answer(
                    connection, self._limits, self._select_next, chat_id, worker_id, lease
                )
        except Conflict:
            # The database allows one running answer per chat, and another worker has claimed one first.
            return None

    async def begin_call(
        self, answer_id: str, worker_id: str, call_id: str, estimate: Estimate
    ) -> bool:
        """Records that a model is about to be called for the answer; False if the worker no longer holds it."""
        noted = {"call_tokens": estimate.tokens, "call_cost": estimate.listed_cost}
        async with self._database.begin(urgent=True) as connection:
            return await update_owned(connection, answer_id, worker_id, call=call_id, **noted)

    async def forget_call(self, answer_id: str, worker_id: str) -> None:
        """Removes the record made by `begin_call`, because the call was free."""
        async with self._database.begin(urgent=True) as connection:
            nothing = {"call": None, "call_tokens": None, "call_cost": None}
            await update_owned(connection, answer_id, worker_id, **nothing)

    async def renew(
        self,
        worker_id: str,
        lease: float,
        only: Collection[str] | None = None,
        used: Mapping[str, Estimate] | None = None,
    ) -> dict[str, bool]:
        """Extends the worker's leases; returns, for each answer that it still holds, whether a stop was requested.

        `only`: the answers that it is really writing, so that the lease of a dropped one lapses. `used`: by its id,
        what each current call has used so far; what is no answer's call any more changes nothing.
        """
        held = and_(IS_OPEN, IS_HELD, answers.c.owner == worker_id)
        renewed: dict[str, Any] = {"lease_until": database_time(lease)}
        if used:
            renewed |= _used_so_far(used)
        wanted = held if only is None else and_(held, answers.c.message_id.in_(only))
        query = (
            update(answers)
            .where(answers.c.message_id.in_(locked_in_order(wanted)))
            .values(renewed)
            .returning(answers.c.message_id, answers.c.stop_requested)
        )
        # Urgent: behind a queue of other writes it would be too late.
        async with self._database.begin(urgent=True) as connection:
            return {row.message_id: row.stop_requested for row in await connection.execute(query)}

    async def save_slack_messages(
        self, answer_id: str, worker_id: str, parts: tuple[MessageRef, ...]
    ) -> bool:
        """Stores which Slack messages show the answer. False if the worker no longer holds it."""
        async with self._database.begin() as connection:
            return await update_owned(connection, answer_id, worker_id, parts=parts_to_json(parts))

    async def save_result(
        self,
        answer_id: str,
        worker_id: str,
        result: AnswerResult,
        then: Mapping[Chore, float] | None = None,
        calls: Sequence[Call] = (),
        pictures: tuple[Image, ...] = (),
    ) -> AnswerResult | None:
        """Stores the whole result of the model, which then only has to be shown. None if the worker no longer holds it.

        `then`: the chores that it leads to, with the seconds until each is due. `calls`: its model calls that are not
        in the ledger yet. `pictures`: what the model drew.

        Returns the result, completed with facts that are only known now.
        """
        async with self._database.begin() as connection:
            stored = result_row(result)
            parameters = {"answer": answer_id, "worker": worker_id, "state": "showing", **stored}
            row = (await connection.execute(STORE_RESULT, parameters)).one_or_none()
            if row is None:
                return None
            await update_message(
                connection,
                answer_id,
                text=result.text,
                error=result.error,
                status=result.status,
                sources=sources_to_json(result.sources),
            )
            await replace_images(connection, answer_id, pictures)
            touched = {"chat": row.chat_id, "updated_at": utc_now()}
            chat = to_chat((await connection.execute(TOUCH_CHAT, touched)).one())
            steps = without_contents(result.steps) if row.asker is None else result.steps
            await add_steps(connection, answer_id, steps)
            await add_chores(connection, answer_id, then or {})
            payer = payer_of(chat, row.asker)
            near = await settle_answer(
                connection, self._limits, payer, answer_id, calls, row.admitted_at
            )
            return replace(result, stopped_by=row.stopped_by, near_budgets=near)

    async def finish(
        self,
        answer_id: str,
        worker_id: str,
        parts: tuple[MessageRef, ...] | None = None,
        then: Mapping[Chore, float] | None = None,
        refusal: str | None = None,
    ) -> Finished | None:
        """Ends an answer whose result is stored and shown; `parts` are the Slack messages, if they changed.

        `then`: what is left to do, with the seconds until each chore is due; `refusal`: see Answer. None if its result
        is not stored, or if the worker no longer holds it.
        """
        shown: dict[str, object] = {} if parts is None else {"parts": parts_to_json(parts)}
        if refusal is not None:
            shown["refusal"] = refusal
        ended = {"state": "ended", "owner": None, "lease_until": None, "queued": False, **shown}
        async with self._database.begin() as connection:
            parameters = {"answer": answer_id, "worker": worker_id, **ended}
            row = (await connection.execute(FINISH_ANSWER, parameters)).one_or_none()
            if row is None:
                return None
            await add_chores(connection, answer_id, then or {})
            if row.retry_requested:
                await begin_again(connection, answer_id)
            return Finished.WAITS_AGAIN if row.retry_requested else Finished.ENDED

    async def release(
        self, worker_id: str, *, chat_id: str | None = None, keep: Collection[str] = ()
    ) -> list[str]:
        """Ends the leases of a worker that is stopping, is dead, or does not know which it holds; returns the ids of
        the chats.

        Any worker may claim the answers immediately, and the old worker can no longer write to them. `chat_id`: only in
        this chat. `keep`: answers that it continues to write.
        """
        own = and_(IS_OPEN, IS_HELD, answers.c.owner == worker_id)
        held = and_(own, answers.c.message_id.not_in(keep))
        wanted = held if chat_id is None else and_(held, answers.c.chat_id == chat_id)
        query = (
            update(answers)
            .where(answers.c.message_id.in_(locked_in_order(wanted)))
            .values(owner=null(), lease_until=database_time())
            .returning(answers.c.chat_id)
        )
        async with self._database.begin() as connection:
            return list(await connection.scalars(query))

    async def worker_ids(self) -> frozenset[str]:
        """The workers that hold a lease, lapsed or not."""
        held = and_(IS_OPEN, IS_HELD, answers.c.owner.is_not(None), self._is_served)
        query = select(answers.c.owner).where(held).distinct()
        async with self._database.read() as connection:
            return frozenset(await connection.scalars(query))

    async def chats_to_claim(self, limit: int) -> list[str]:
        """Ids of chats with an answer that can be claimed, longest waiting first."""
        idle = and_(IS_WAITING, ~OTHER_IS_RUNNING)
        query = (
            select(answers.c.chat_id, answers.c.message_id)
            .where(IS_OPEN, or_(idle, LEASE_LAPSED), self._is_served)
            # Not the column itself: to read in its order, SQLite would read all answers.
            .order_by(func.coalesce(answers.c.message_id, ""))
            .limit(limit)
        )
        async with self._database.read() as connection:
            return list(dict.fromkeys(await connection.scalars(query)))

    async def waiting_count(self) -> int:
        """How many answers are waiting to be claimed, in all processes."""
        async with self._database.read() as connection:
            waiting = and_(IS_OPEN, IS_WAITING, self._is_served)
            query = select(func.count()).select_from(answers).where(waiting)
            return await connection.scalar(query) or 0

    async def request_stop(
        self, chat_id: str, source: str | None = None, user: str | None = None
    ) -> Answer | None:
        """Requests that the running answer of this chat is stopped; its worker sees the request when it renews.

        If all answers are waiting because no worker has claimed one yet, the next of them is stopped. The same `source`
        again returns the answer that it stopped before, even if that has ended since. `user`: Slack id of the user who
        stops it; the first one is recorded.
        """
        in_chat = answers.c.chat_id == chat_id
        next_one = select(answers.c.message_id).where(in_chat, IS_OPEN)
        # An answer that is being shown has nothing left to stop, and the user does not mean those behind it.
        order = case((IS_RUNNING, 0), (IS_SHOWING, 1), else_=2)
        next_one = next_one.order_by(order, answers.c.number).limit(1)
        query = (
            update(answers)
            .where(IS_UNWRITTEN, answers.c.message_id == next_one.scalar_subquery())
            .values(
                **ASK_TO_STOP,
                stop_source=func.coalesce(source, answers.c.stop_source),
                stopped_by=func.coalesce(answers.c.stopped_by, user),
            )
            .returning(answers.c.message_id)
        )
        async with self._database.begin() as connection:
            if source:
                stopped_before = and_(in_chat, answers.c.stop_source == source)
                if known := await first_answer(connection, stopped_before):
                    return known
            answer_id = await connection.scalar(query)
            if answer_id is None:
                return None
            return await first_answer(connection, answers.c.message_id == answer_id)

    async def retry(self, answer_id: str, model: ModelRef | None = None) -> Answer | None:
        """Makes a failed or stopped answer wait again; its partial text stays.

        Only one of several callers gets it, the others get None. If its end is still being shown, the answer waits
        again once that is done. With a `model`, the chat continues with it, which only works if another model would
        cure the failure. Raises BudgetReached if the asker may use no more.
        """
        failed = and_(
            answers.c.message_id == answer_id,
            answers.c.state.in_(("showing", "ended")),
            answers.c.ending.in_((Status.FAILED, Status.STOPPED)),
            not_(answers.c.retry_requested),
        )
        async with self._database.begin() as connection:
            if model is not None:
                failed = and_(failed, _failed_with(ProviderError.codes_for_other_model()))
            requested = update(answers).where(failed).values(retry_requested=True)
            requested = requested.returning(answers.c.chat_id, answers.c.state)
            row = (await connection.execute(requested)).one_or_none()
            if row is None:
                return None
            changed = {"provider": model.provider, "model": model.name} if model else {}
            used = update(chats).where(chats.c.id == row.chat_id)
            await connection.execute(used.values(updated_at=utc_now(), **changed))
            if model is not None:
                await clear_provider_fields(connection, row.chat_id)
            if row.state == "ended":
                await begin_again(connection, answer_id)
            await admit_again(connection, self._limits, answer_id)
            return await first_answer(connection, answers.c.message_id == answer_id)


def _used_so_far(used: Mapping[str, Estimate]) -> dict[str, Any]:
    """The new values of the answers whose current calls these are."""
    tokens = {call: estimate.tokens for call, estimate in used.items()}
    costs = {call: estimate.listed_cost for call, estimate in used.items()}
    known = answers.c.call_cost
    priced = {call: cost for call, cost in costs.items() if cost is not None}
    call_tokens = case(tokens, value=answers.c.call, else_=answers.c.call_tokens)
    call_cost = case(priced, value=answers.c.call, else_=known) if priced else known
    return {"call_tokens": call_tokens, "call_cost": call_cost}


def _failed_with(codes: Collection[str]) -> ColumnElement[bool]:
    return exists().where(messages.c.id == answers.c.message_id, messages.c.error.in_(codes))
