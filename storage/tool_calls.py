"""Tool calls, each stored as a row before it is made, and people's decisions about them.

An answer that waits for a decision is *parked*: it stays running, so that the next answer of its chat waits, but no
worker holds it; its lease lapses when somebody has decided, or after a day. Then any worker claims it and continues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, case, exists, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import english_strings
from bot.domain import Image
from bot.domain.chores import Chore
from bot.domain.tool_calls import (
    PIN_SHOWN,
    CallState,
    Decision,
    StoredCall,
)
from bot.usage.calls import Call, payer_of
from bot.usage.limits import NO_LIMITS, BudgetReached, Limits
from storage.engine.database import Database
from storage.engine.types import database_time, utc_now
from storage.statements.chores import add_chores
from storage.statements.holds import Hold, hold, hold_answer, unpark
from storage.statements.ledger_rows import record
from storage.statements.queries import SELECT_CHAT, dialect_insert
from storage.statements.rows import to_chat
from storage.statements.spending import check
from storage.statements.tool_call_rows import (
    call_row,
    ended_with_answer,
    keep_pictures,
    over_budget,
    pictures_of,
    to_call,
)
from storage.tables import answers, chats, tool_calls, tool_grants

_ASKED = tool_calls.c.state == CallState.ASKED
_OPEN = tool_calls.c.state.in_([state for state in CallState if not state.ended])


@dataclass(frozen=True, slots=True)
class Decided:
    """A call after somebody has decided, or tried to."""

    call: StoredCall
    chat_id: str
    team: str
    accepted: bool
    """False: they may not decide about it, it had been decided before, or it is too late."""


class ToolCalls:
    """The repository of tool calls. Every method raises StorageError when the database fails."""

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
    ) -> Hold:
        """Stores the calls of one turn, once, while the answer is HELD.

        `used`: the model calls for that turn, for the ledger. Raises BudgetReached if they have used up a budget; then
        the calls are stored as not made.
        """
        async with self._database.begin() as connection:
            held = await hold(connection, calls[0].answer_id, worker_id)
            if held is not Hold.HELD:
                return held
            reached = await self._recorded(connection, chat_id, calls[0].asker, used)
            if reached is not None:
                calls = [over_budget(call) for call in calls]
            await connection.execute(
                dialect_insert(connection, tool_calls).on_conflict_do_nothing(),
                [call_row(call, chat_id) for call in calls],
            )
        if reached is not None:
            raise reached
        return held

    async def _recorded(
        self, connection: AsyncConnection, chat_id: str, asker: str | None, used: Sequence[Call]
    ) -> BudgetReached | None:
        """Adds to the ledger what an answer has used so far; returns a budget that is used up."""
        chat = to_chat((await connection.execute(SELECT_CHAT, {"chat": chat_id})).one())
        payer = payer_of(chat, asker)
        await record(connection, self._limits, payer, used)
        try:
            await check(connection, Limits(self._limits.budgets), payer)
        except BudgetReached as reached:
            return reached
        return None

    async def hold(self, worker_id: str, answer_id: str) -> Hold:
        """Whether the worker may continue with an answer's calls."""
        async with self._database.begin() as connection:
            return await hold(connection, answer_id, worker_id)

    async def begin(self, worker_id: str, call: StoredCall) -> Hold:
        """Records that a call is about to be made. It must not be made unless the answer is HELD; a call that is not
        READY is lost.
        """
        startable = and_(tool_calls.c.id == call.id, tool_calls.c.state == CallState.READY)
        async with self._database.begin() as connection:
            held = await hold(connection, call.answer_id, worker_id)
            if held is not Hold.HELD:
                return held
            done = await connection.execute(
                update(tool_calls)
                .where(startable)
                .values(state=CallState.CALLING, updated_at=utc_now())
            )
            return held if done.rowcount else Hold.LOST

    async def settle(
        self,
        call: StoredCall,
        state: CallState,
        result: str = "",
        seconds: float | None = None,
        pictures: Sequence[Image] = (),
    ) -> bool:
        """Records how a call has ended, or that it is ready again; False if somebody else has changed it meanwhile."""
        ending = {"state": state, "result": result, "seconds": seconds}
        known = (tool_calls.c[name].is_not_distinct_from(value) for name, value in ending.items())
        same = and_(
            tool_calls.c.id == call.id,
            tool_calls.c.asker.is_not_distinct_from(call.asker),  # else they have been erased
            # The second: by an earlier try, whose success the database could not tell.
            or_(tool_calls.c.state == call.state, and_(*known)),
        )
        values = ending | {"updated_at": utc_now()}
        async with self._database.begin() as connection:
            await hold_answer(connection, call.id)  # first, as everywhere, to prevent deadlocks
            done = await connection.execute(update(tool_calls).where(same).values(values))
            if done.rowcount and pictures:
                await keep_pictures(connection, call.id, pictures)
            is_shown = call.asked or state is CallState.UNKNOWN
            if done.rowcount and is_shown and state.ended:
                await add_chores(connection, call.answer_id, {Chore.SHOW_DECISIONS: 0.0})
            return done.rowcount > 0

    async def end_open(
        self, worker_id: str, answer_id: str, since: datetime
    ) -> list[StoredCall] | None:
        """Ends all calls of an answer that ends: no more are made. None if the worker no longer holds it.

        Returns the calls as they ended. `since`: calls that an earlier attempt has ended from then on are returned
        again.
        """
        of_answer = tool_calls.c.answer_id == answer_id
        ended_now = and_(tool_calls.c.stopped == true(), tool_calls.c.updated_at >= since)
        query = select(tool_calls).where(of_answer, or_(_OPEN, ended_now))
        async with self._database.begin() as connection:
            if await hold(connection, answer_id, worker_id) is Hold.LOST:
                return None
            rows = (await connection.execute(query)).all()
            ended = [ended_with_answer(to_call(row)) for row in rows]
            for call in ended:
                end = {"state": call.state, "result": call.result, "stopped": True}
                this = update(tool_calls).where(tool_calls.c.id == call.id)
                await connection.execute(this.values(end | {"updated_at": utc_now()}))
            if ended:
                await add_chores(connection, answer_id, {Chore.SHOW_DECISIONS: 0.0})
            return ended

    async def ask_again(self, call: StoredCall, pin: str) -> None:
        """The tool has changed since it was allowed: the decision no longer counts, and its message asks again."""
        same = and_(tool_calls.c.id == call.id, tool_calls.c.state == CallState.READY)
        values = {
            "state": CallState.ASKED,
            "pin": pin,
            "asked": True,
            "decided_by": None,
            "updated_at": utc_now(),
            # A message that may have been posted is still looked for.
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
        goes_on: Callable[[Sequence[StoredCall]], bool],
    ) -> bool:
        """Releases an answer until somebody has decided; False if the worker no longer holds it.

        `then`: the chores that follow from it, with the seconds until each is due. `goes_on`: given its open calls,
        which may have been decided meanwhile, whether there is something to do.
        """
        query = select(tool_calls).where(tool_calls.c.answer_id == answer_id, _OPEN)
        async with self._database.begin() as connection:
            if await hold(connection, answer_id, worker_id) is Hold.LOST:
                return False
            rows = (await connection.execute(query.order_by(tool_calls.c.number))).all()
            asked = [row.updated_at for row in rows if row.state == CallState.ASKED]
            waits = bool(asked) and not goes_on([to_call(row) for row in rows])
            rest = min(asked) + self._approval_life - utc_now() if waits else timedelta()
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
        """Records a person's decision about a call; None if there is no such call in their workspace, or no longer.

        `approval`: see `StoredCall.approval`. `chat_id`: only a call of this chat.

        Only the asker's first decision counts, not after its time limit (see `StoredCall.overdue`), and not while the
        answer is being stopped.
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
            await hold_answer(connection, call_id)
            found = (
                await connection.execute(
                    select(tool_calls, chats.c.team, answers.c.stop_requested)
                    .join(chats, chats.c.id == tool_calls.c.chat_id)
                    .join(answers, answers.c.message_id == tool_calls.c.answer_id)
                    .where(this, chats.c.team == team)
                )
            ).one_or_none()
            if found is None:
                return None
            call = to_call(found, overdue=self._is_overdue(found))
            if found.stop_requested and call.state is CallState.ASKED:
                return Decided(replace(call, stopped=True), found.chat_id, found.team, False)
            changed = await connection.execute(
                update(tool_calls)
                .where(mine)
                .values(state=state, result=result, decided_by=user, updated_at=utc_now())
            )
            accepted = changed.rowcount > 0
            if accepted:
                if decision is Decision.ALWAYS:
                    await _grant(connection, found.chat_id, user, found.pin)
                await unpark(connection, found.answer_id)
                await add_chores(connection, found.answer_id, {Chore.SHOW_DECISIONS: 0.0})
            row = (
                await connection.execute(select(tool_calls).where(tool_calls.c.id == call_id))
            ).one()
            call = to_call(row, overdue=self._is_overdue(row))
            return Decided(call, found.chat_id, found.team, accepted)

    async def note_shown(self, call: StoredCall, ts: str | None, state: CallState) -> None:
        """Records which Slack message asks about a call, and what it shows; unless the call is asked about again
        meanwhile.

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
        """Nobody can be asked about a call: it becomes `unaskable`, and any worker may continue its answer."""
        same = and_(tool_calls.c.id == call.id, tool_calls.c.pin == call.pin, _ASKED)
        refused = {"notice_ts": None, "notice_state": CallState.DENIED}
        async with self._database.begin() as connection:
            await hold_answer(connection, call.id)
            done = await connection.execute(update(tool_calls).where(same).values(refused))
            if done.rowcount:
                await unpark(connection, call.answer_id)


async def _grant(connection: AsyncConnection, chat_id: str, user: str, pin: str) -> None:
    row = {"chat_id": chat_id, "user": user, "pin": pin, "created_at": utc_now()}
    await connection.execute(
        dialect_insert(connection, tool_grants).values(row).on_conflict_do_nothing()
    )
