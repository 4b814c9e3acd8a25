"""Calls of tools, each a row before it is made, and what people decide about them.

An answer that waits for a decision is *parked*: it stays running, so that the next answer of its chat waits, but no
worker holds it; its lease lapses when somebody has decided, or after a day. Then any worker claims it and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, and_, case, exists, false, func, not_, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import english_strings
from bot.chores import Chore
from bot.domain import Image
from bot.tool_calls import (
    PIN_SHOWN,
    CallState,
    Decision,
    StoredCall,
)
from bot.usage.calls import Call, payer_of
from bot.usage.limits import NO_LIMITS, BudgetReached, Limits
from storage.call_rows import record
from storage.chores import add_chores
from storage.engine.database import Database
from storage.engine.types import database_time, utc_now
from storage.queries import SELECT_CHAT, UPDATE_OWNED, dialect_insert
from storage.rows import to_chat
from storage.spending import check
from storage.tables import IS_RUNNING, answers, chats, tool_calls, tool_grants
from storage.tool_call_rows import call_row, keep_pictures, over_budget, pictures_of, to_call

_ASKED = tool_calls.c.state == CallState.ASKED
_UNASKABLE = and_(
    _ASKED, tool_calls.c.notice_ts.is_(None), tool_calls.c.notice_state == CallState.DENIED
)
"""See `StoredCall.unaskable`."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A call after somebody has decided, or tried to."""

    call: StoredCall
    chat_id: str
    team: str
    accepted: bool
    """False: it was not theirs to decide, or had been decided before, or it is too late."""


class ToolCalls:
    """The repository of calls of tools. Every method raises StorageError when the database fails."""

    def __init__(
        self, database: Database, limits: Limits = NO_LIMITS, approval_life: float = 86_400.0
    ) -> None:
        """`limits`: what people may use. `approval_life`: see `Timing`."""
        self._database = database
        self._limits = limits
        self._approval_life = timedelta(seconds=approval_life)

    async def of_answer(self, answer_id: str) -> list[StoredCall]:
        """All calls of an answer, in order."""
        return await self._select(tool_calls.c.answer_id == answer_id)

    async def of_chat(self, chat_id: str) -> list[StoredCall]:
        """All calls of a chat's answers."""
        return await self._select(tool_calls.c.chat_id == chat_id)

    async def _select(self, where: Any) -> list[StoredCall]:
        order = (tool_calls.c.answer_id, tool_calls.c.round, tool_calls.c.number)
        query = select(tool_calls).where(where).order_by(*order)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            pictures = await pictures_of(connection, where) if rows else {}
        return [
            replace(
                to_call(row, overdue=self._is_overdue(row)),
                pictures=tuple(pictures.get(row.id, ())),
            )
            for row in rows
        ]

    def _is_overdue(self, row: Row[Any]) -> bool:
        return bool(row.state == CallState.ASKED) and bool(
            utc_now() - row.updated_at >= self._approval_life
        )

    async def add(
        self, worker_id: str, chat_id: str, calls: Sequence[StoredCall], used: Sequence[Call]
    ) -> bool:
        """Stores the calls of one turn, once; False when the worker no longer holds the answer.

        `used`: what the model was asked for that turn, for the ledger. Raises BudgetReached when that has used up a
        budget: then the calls are stored as not made.
        """
        async with self._database.begin() as connection:
            if not await _holds(connection, calls[0].answer_id, worker_id):
                return False
            reached = await self._recorded(connection, chat_id, calls[0].asker, used)
            if reached is not None:
                calls = [over_budget(call) for call in calls]
            await connection.execute(
                dialect_insert(connection, tool_calls).on_conflict_do_nothing(),
                [call_row(call, chat_id) for call in calls],
            )
        if reached is not None:
            raise reached
        return True

    async def _recorded(
        self, connection: AsyncConnection, chat_id: str, asker: str | None, used: Sequence[Call]
    ) -> BudgetReached | None:
        """Adds to the ledger what an answer has used so far; the budget that is used up by now."""
        chat = to_chat((await connection.execute(SELECT_CHAT, {"chat": chat_id})).one())
        payer = payer_of(chat, asker)
        await record(connection, self._limits, payer, used)
        try:
            await check(connection, Limits(self._limits.budgets), payer)
        except BudgetReached as reached:
            return reached
        return None

    async def begin(self, worker_id: str, call: StoredCall) -> bool:
        """Notes that a call is about to be made; False when it must not be: it is not ready, or the lease is lost."""
        startable = and_(tool_calls.c.id == call.id, tool_calls.c.state == CallState.READY)
        async with self._database.begin() as connection:
            if not await _holds(connection, call.answer_id, worker_id):
                return False
            done = await connection.execute(
                update(tool_calls)
                .where(startable)
                .values(state=CallState.CALLING, updated_at=utc_now())
            )
            return done.rowcount > 0

    async def settle(
        self,
        call: StoredCall,
        state: CallState,
        result: str = "",
        seconds: float | None = None,
        pictures: Sequence[Image] = (),
    ) -> bool:
        """Notes how a call has ended, or that it is ready again; False when somebody else has moved it meanwhile."""
        ending = {"state": state, "result": result, "seconds": seconds, "stopped": call.stopped}
        known = (tool_calls.c[name].is_not_distinct_from(value) for name, value in ending.items())
        # The second: by an earlier try, whose success the database could not tell.
        same = and_(tool_calls.c.id == call.id, or_(tool_calls.c.state == call.state, and_(*known)))
        values = ending | {"updated_at": utc_now()}
        async with self._database.begin() as connection:
            await _hold_answer(connection, call.id)  # first, as everybody else: no deadlock
            done = await connection.execute(update(tool_calls).where(same).values(values))
            if done.rowcount and pictures:
                await keep_pictures(connection, call.id, pictures)
            told = call.asked or state is CallState.UNKNOWN
            if done.rowcount and told and state.ended:
                await add_chores(connection, call.answer_id, {Chore.SHOW_APPROVALS: 0.0})
            return done.rowcount > 0

    async def ask_again(self, call: StoredCall, pin: str) -> None:
        """The tool has changed since it was allowed: the decision counts no more, and its message asks anew."""
        same = and_(tool_calls.c.id == call.id, tool_calls.c.state == CallState.READY)
        values = {
            "state": CallState.ASKED,
            "pin": pin,
            "asked": True,
            "decided_by": None,
            "updated_at": utc_now(),
            # One that may have been posted is still looked for.
            "notice_state": case((tool_calls.c.notice_ts.is_(None), tool_calls.c.notice_state)),
        }
        async with self._database.begin() as connection:
            await connection.execute(update(tool_calls).where(same).values(values))

    async def is_granted(self, chat_id: str, user: str | None, pin: str) -> bool:
        """Whether this person has allowed this definition of a tool for the chat."""
        query = select(
            exists().where(
                tool_grants.c.chat_id == chat_id,
                tool_grants.c.user == user,
                tool_grants.c.pin == pin,
            )
        )
        async with self._database.read() as connection:
            return bool(await connection.scalar(query))

    async def park(
        self,
        worker_id: str,
        answer_id: str,
        then: Mapping[Chore, float],
        held: Sequence[str] = (),
    ) -> bool:
        """Lets go of an answer until somebody has decided; False when the worker no longer holds it.

        `then`: the chores that it leads to, with the seconds until each is due. `held`: ids of calls that may be made,
        but only after one that waits.
        """
        async with self._database.begin() as connection:
            if not await _holds(connection, answer_id, worker_id):
                return False
            oldest = await connection.scalar(
                select(func.min(tool_calls.c.updated_at)).where(
                    tool_calls.c.answer_id == answer_id, _ASKED
                )
            )
            ready = and_(tool_calls.c.state == CallState.READY, tool_calls.c.id.not_in(held))
            goes_on = exists().where(tool_calls.c.answer_id == answer_id, or_(ready, _UNASKABLE))
            if await connection.scalar(select(goes_on)):
                oldest = None  # a decision came meanwhile, or none can come
            rest = oldest + self._approval_life - utc_now() if oldest else timedelta()
            done = await connection.execute(
                update(answers)
                .where(answers.c.message_id == answer_id)
                .values(
                    parked=True,
                    owner=None,
                    lease_until=case(
                        (answers.c.stop_requested, database_time()),
                        else_=database_time(max(0.0, rest.total_seconds())),
                    ),
                )
                .returning(answers.c.chat_id, answers.c.asker, answers.c.admitted_at)
            )
            row = done.one()
            chat = to_chat((await connection.execute(SELECT_CHAT, {"chat": row.chat_id})).one())
            payer = payer_of(chat, row.asker)
            await record(connection, self._limits, payer, (), row.admitted_at)
            same = answers.c.message_id == answer_id
            await connection.execute(update(answers).where(same).values(admitted_at=None))
            await add_chores(connection, answer_id, {Chore.SHOW_APPROVALS: 0.0, **then})
            return True

    async def asked(self, chat_id: str) -> list[StoredCall]:
        """The calls of a chat that wait for a decision."""
        return await self._select(and_(tool_calls.c.chat_id == chat_id, _ASKED))

    async def get(self, call_id: str) -> StoredCall | None:
        return next(iter(await self._select(tool_calls.c.id == call_id)), None)

    async def decide(
        self, approval: str, team: str, user: str, decision: Decision, chat_id: str | None = None
    ) -> Decided | None:
        """What a person says about a call; None when there is no such call in their workspace, or not any more.

        Nor is there one that waits while its answer is being stopped.

        `approval`: see `StoredCall.approval`. `chat_id`: only one of this chat.

        Only the asker's word counts, the first, and not after the time for it: see `StoredCall.overdue`.
        """
        call_id, _, pin = approval.partition("-")
        this = and_(tool_calls.c.id == call_id, func.substr(tool_calls.c.pin, 1, PIN_SHOWN) == pin)
        if chat_id is not None:
            this = and_(this, tool_calls.c.chat_id == chat_id)
        in_time = tool_calls.c.updated_at > utc_now() - self._approval_life
        mine = and_(this, _ASKED, in_time, tool_calls.c.asker == user)
        state = CallState.DENIED if decision is Decision.DENY else CallState.READY
        result = english_strings.CALL_DENIED if decision is Decision.DENY else ""
        async with self._database.begin() as connection:
            await _hold_answer(connection, call_id)
            found = (
                await connection.execute(
                    select(tool_calls, chats.c.team)
                    .join(chats, chats.c.id == tool_calls.c.chat_id)
                    .join(answers, answers.c.message_id == tool_calls.c.answer_id)
                    .where(
                        this,
                        chats.c.team == team,
                        or_(not_(_ASKED), answers.c.stop_requested == false()),
                    )
                )
            ).one_or_none()
            if found is None:
                return None
            changed = await connection.execute(
                update(tool_calls)
                .where(mine)
                .values(state=state, result=result, decided_by=user, updated_at=utc_now())
            )
            accepted = changed.rowcount > 0
            if accepted:
                if decision is Decision.ALWAYS:
                    await _grant(connection, found.chat_id, user, found.pin)
                await _unpark(connection, found.answer_id)
                await add_chores(connection, found.answer_id, {Chore.SHOW_APPROVALS: 0.0})
            row = (
                await connection.execute(select(tool_calls).where(tool_calls.c.id == call_id))
            ).one()
            call = to_call(row, overdue=self._is_overdue(row))
            return Decided(call, found.chat_id, found.team, accepted)

    async def note_shown(self, call: StoredCall, ts: str | None, state: CallState) -> None:
        """Which Slack message asks about a call, and what it shows; unless it is asked about anew meanwhile.

        `ts`: None when it is about to be posted.
        """
        values = {"notice_ts": ts, "notice_state": state}
        same = and_(tool_calls.c.id == call.id, tool_calls.c.pin == call.pin)
        async with self._database.begin() as connection:
            await connection.execute(update(tool_calls).where(same).values(values))

    async def has_unshown(self, answer_id: str) -> bool:
        """Whether somebody has to be asked about a call of this answer by a message that does not do so yet."""
        hidden = or_(
            tool_calls.c.notice_ts.is_(None),
            tool_calls.c.notice_state.is_distinct_from(CallState.ASKED),
        )
        unshown = and_(tool_calls.c.answer_id == answer_id, _ASKED, hidden)
        async with self._database.read() as connection:
            return bool(await connection.scalar(select(exists().where(unshown))))

    async def refuse(self, call: StoredCall) -> None:
        """Nobody can be asked about a call: it becomes `unaskable`, and any worker may go on with its answer."""
        unshown = and_(tool_calls.c.id == call.id, _ASKED, tool_calls.c.notice_ts.is_(None))
        async with self._database.begin() as connection:
            await _hold_answer(connection, call.id)
            done = await connection.execute(
                update(tool_calls).where(unshown).values(notice_state=CallState.DENIED)
            )
            if done.rowcount:
                await _unpark(connection, call.answer_id)


async def _holds(connection: AsyncConnection, answer_id: str, worker_id: str) -> bool:
    """Whether the worker holds the answer; nobody takes it over before the transaction has ended."""
    touched = UPDATE_OWNED.where(IS_RUNNING)
    done = await connection.execute(
        touched, {"answer": answer_id, "worker": worker_id, "parked": False}
    )
    return done.rowcount > 0


async def _hold_answer(connection: AsyncConnection, call_id: str) -> None:
    """Until the transaction has ended, nobody parks or claims the answer that the call belongs to."""
    answer_id = select(tool_calls.c.answer_id).where(tool_calls.c.id == call_id).scalar_subquery()
    await connection.execute(
        select(answers.c.message_id).where(answers.c.message_id == answer_id).with_for_update()
    )


async def _unpark(connection: AsyncConnection, answer_id: str) -> None:
    """Any worker may claim the answer now."""
    parked = and_(answers.c.message_id == answer_id, answers.c.parked == true(), IS_RUNNING)
    await connection.execute(
        update(answers).where(parked, answers.c.owner.is_(None)).values(lease_until=database_time())
    )


async def _grant(connection: AsyncConnection, chat_id: str, user: str, pin: str) -> None:
    row = {"chat_id": chat_id, "user": user, "pin": pin, "created_at": utc_now()}
    await connection.execute(
        dialect_insert(connection, tool_grants).values(row).on_conflict_do_nothing()
    )
