"""What happens between two turns of a model that calls tools: each call is stored, made once, and its result stored.

A turn's calls are stored as rows before any is made. Calls that only read are made concurrently, the others one after
another in the model's order. A call that needs the asker's approval parks the answer, and so do later calls with
effects: no worker holds the answer until somebody has decided. The worker that claims it next, in any process,
continues from the rows.

    rows ──all results stand──▶ the model is asked again
      └──some wait for a decision──▶ Parked
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, groupby
from typing import Any, TypeVar

from bot import english_strings
from bot.answers.events import EventPublisher
from bot.answers.running_answer import RunningAnswer
from bot.answers.storage_retry import until_stored
from bot.answers.tool_call_steps import ended, record_call, report_step
from bot.answers.tool_pictures import ToolPictures
from bot.answers.tool_servers import RoomForTools, RulesOf, Tools
from bot.domain import Chat, Image
from bot.domain.chores import Chore
from bot.domain.steps import StepKind, StepStatus
from bot.domain.stream_events import StepChanged, ToolsCalled
from bot.domain.tool_calls import (
    ALL_TOOLS,
    CallResult,
    CallState,
    ChannelTools,
    Permission,
    StoredCall,
    Tool,
    ToolOutcome,
    ToolRound,
    first_tools,
    is_object,
    next_call,
    parsed_arguments,
)
from bot.errors import BudgetUsedUp
from bot.providers.base import ModelRequest
from bot.runtime.tasks import cancelled_on_leaving
from bot.usage.estimate import tokens_of_tool
from bot.usage.limits import BudgetReached, to_detail
from storage.engine.types import new_id, utc_now
from storage.statements.holds import Hold
from storage.statements.tool_call_rows import over_budget
from storage.tool_calls import ToolCalls

Stored = TypeVar("Stored")

READY_TIMEOUT = 10.0
"""Seconds after a process's start in which answers wait for tool servers that are still connecting."""
MAX_EXTRA_ROUNDS = 2
"""Turns with calls beyond the limit, which are not made, before the answer fails."""


class Parked(Exception):
    """The answer waits for a decision; its worker releases it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ToolLoop:
    """Carries out the calls of all answers of the process."""

    tools: Tools
    calls: ToolCalls
    publisher: EventPublisher
    worker_id: str
    steps: int
    """The most calls of one answer."""
    seconds: float
    """For one call."""
    rules: RulesOf
    """What a chat's channel allows."""
    pictures: ToolPictures
    room: RoomForTools
    """The estimated tokens that tool definitions may take in a prompt."""

    def for_answer(self, run: RunningAnswer, chat: Chat) -> AnswerTools:
        """The calls of one answer."""
        return AnswerTools(self, run, chat)

    async def ready(self) -> None:
        """Waits for servers that are still connecting, in the first seconds of the process."""
        await self.tools.ready(READY_TIMEOUT)

    async def park(self, run: RunningAnswer, then: Mapping[Chore, float]) -> bool:
        """Stores that the answer waits for a decision, and the remaining chores.

        False when the worker no longer holds it.
        """

        def goes_on(calls: Sequence[StoredCall]) -> bool:
            nobody_decides = any(call.unaskable for call in calls)
            return nobody_decides or next_call(calls, self.reads) is not None

        return await self.calls.park(self.worker_id, run.answer.id, then, goes_on)

    def tool_of(self, call: StoredCall) -> Tool | None:
        """The tool as it is defined now; None if its server is gone, or the model made the name up."""
        return self.tools.tools.get(call.call.name)

    def reads(self, call: StoredCall) -> bool:
        tool = self.tool_of(call)
        return tool is not None and tool.reads


@dataclass(frozen=True, eq=False)
class AnswerTools:
    """The tools of one answer and the calls that its model makes."""

    by: ToolLoop
    run: RunningAnswer
    chat: Chat

    async def offered(self) -> list[Tool]:
        """The tools that the model is sent: the first ones, of those that it may use, that fit its window."""
        rules = await self._channel_rules()
        usable = first_tools(
            tool
            for tool in self.by.tools.tools.values()
            if rules.permission(tool) is not Permission.DENIED
        )
        taken = accumulate(tokens_of_tool(tool) for tool in usable)
        room = self.by.room(self.chat)
        fitting = [tool for tool, tokens in zip(usable, taken, strict=True) if tokens <= room]
        if len(fitting) < len(usable):
            self.run.steps.change(StepChanged("tools", StepKind.TOOLS, StepStatus.DENIED))
        return fitting

    def request_fields(self, request: ModelRequest) -> dict[str, Any]:
        """The fields of a `ModelRequest` that report earlier calls, and whether more may be made."""
        rounds = self.by.pictures.sent(self.chat, self.run.rounds, request.messages)
        return {"rounds": rounds, "may_call": self._calls_left() > 0}

    async def _channel_rules(self) -> ChannelTools:
        """The channel's current rules, which admins may change at any time."""
        if not self.by.tools.tools:
            return ALL_TOOLS
        return await self._until_stored(lambda: self.by.rules(self.chat))

    def exhausted(self) -> bool:
        """Whether the model keeps calling tools although it was told to stop."""
        return len(self.run.rounds) >= self.by.steps + MAX_EXTRA_ROUNDS

    def _calls_left(self) -> int:
        return self.by.steps - sum(len(turn.calls) for turn in self.run.rounds)

    # -- resuming from stored rows ---------------------------------------------------------------------------------

    async def stored_turns(self) -> list[list[StoredCall]]:
        """The turns of earlier attempts at this answer."""
        if self.run.answer.attempt <= 1:
            return []
        rows = await self._until_stored(lambda: self.by.calls.of_answer(self.run.answer.id))
        for row in rows:
            report_step(self.run, row)
        return [list(turn) for _, turn in groupby(rows, key=lambda call: call.round)]

    async def resume(self, turn: Sequence[StoredCall]) -> None:
        """Finishes a stored turn: makes the calls that may be made (again), and adds the results to the answer. Raises
        Parked.
        """
        for call in turn:
            if call.state is CallState.CALLING:
                await self._resume_call(call)
            elif call.overdue:
                await self._settle(call, CallState.DENIED, english_strings.CALL_EXPIRED)
            elif call.unaskable:
                await self._settle(call, CallState.DENIED, english_strings.CALL_UNASKABLE)
        await self._make_calls(turn[0].round)

    async def _resume_call(self, call: StoredCall) -> None:
        """Decides about a call that another process was making when it ended."""
        if call.repeatable and await self._may_be_made_again(call):
            await self._store(call, CallState.READY)
            return
        lost = CallResult(ToolOutcome.UNKNOWN, english_strings.CALL_LOST)
        await self._settle(call, *ended(lost, repeatable=call.repeatable))

    async def _may_be_made_again(self, call: StoredCall) -> bool:
        """Whether it may be made again: nobody has been told or asked anything that hides that it may have taken
        effect.
        """
        tool = self.by.tool_of(call)
        if tool is None or tool.pin != call.pin:
            return False
        permission = (await self._channel_rules()).permission(tool)
        return permission is Permission.RUNS or (call.asked and permission is Permission.ASKS)

    # -- a new turn ------------------------------------------------------------------------------------------------

    async def carry_out(self, text: str, called: ToolsCalled) -> None:
        """Stores a turn's calls, makes those that may be made, and adds the turn to the answer.

        Raises Parked, BudgetUsedUp.
        """
        number, left = len(self.run.rounds), self._calls_left()
        rules = await self._channel_rules()
        rows = []
        for place, call in enumerate(called.calls):
            row = StoredCall(
                id=new_id(),
                answer_id=self.run.answer.id,
                round=number,
                number=place,
                call=call,
                path=call.name,
                state=CallState.FAILED,
                text_before="" if place else text,
                round_extra="" if place else called.extra,
                asker=self.run.answer.asker,
            )
            rows.append(await self._with_permission(row, rules, allowed=place < left))
        await self._store_turn(rows)
        await self._make_calls(number)

    async def _store_turn(self, rows: Sequence[StoredCall]) -> None:
        """Stores a turn's calls, and what the model has used for it. Raises BudgetUsedUp: then none of them is made."""
        add = partial(
            self.by.calls.add, self.by.worker_id, self.chat.id, rows, tuple(self.run.calls)
        )
        try:
            hold = await self._until_stored(add)
        except BudgetReached as reached:
            self.run.note_recorded()
            for row in rows:
                self._report_end(over_budget(row))
            raise BudgetUsedUp(to_detail(reached)) from None
        self._stop_unless_held(hold)
        self.run.note_recorded()
        for row in rows:
            if row.state.ended:
                self._report_end(row)
            else:
                report_step(self.run, row)

    async def _with_permission(
        self, row: StoredCall, rules: ChannelTools, *, allowed: bool
    ) -> StoredCall:
        """The call in its next state: to be made, to be asked about, or refused."""
        tool = self.by.tool_of(row)
        if tool is not None:
            row = replace(row, path=tool.path, pin=tool.pin, repeatable=tool.repeatable)
        if not allowed:
            return replace(row, result=english_strings.CALLS_TOO_MANY.format(count=self.by.steps))
        if tool is None:
            return replace(row, result=english_strings.CALL_OF_NOTHING)
        if not is_object(row.call):
            return replace(row, result=english_strings.CALL_MALFORMED)
        permission = rules.permission(tool)
        if permission is Permission.DENIED:
            return replace(row, result=english_strings.CALL_FORBIDDEN)
        asks = permission is not Permission.RUNS
        granted = asks and await self._until_stored(
            lambda: self.by.calls.is_granted(self.chat.id, self.run.answer.asker, tool.pin)
        )
        state = CallState.ASKED if asks and not granted else CallState.READY
        decided_by = self.run.answer.asker if granted else None
        return replace(row, state=state, asked=asks, decided_by=decided_by)

    # -- making calls ----------------------------------------------------------------------------------------------

    async def _make_calls(self, number: int) -> None:
        """Makes the calls of a stored turn that may be made. Raises Parked."""
        turn = await self._load_turn(number)
        reading = [call for call in turn if call.state is CallState.READY and self.by.reads(call)]
        await _all_of(self._make_call(call) for call in reading)
        while call := next_call(turn := await self._load_turn(number), self.by.reads):
            await self._make_call(call)
        if not turn or any(call.state is CallState.CALLING for call in turn):
            # The asker has been erased together with these calls, or another worker continues the answer.
            hold = partial(self.by.calls.hold, self.by.worker_id, self.run.answer.id)
            self._stop_unless_held(await self._until_stored(hold))
            raise asyncio.CancelledError
        if waiting := [call for call in turn if call.state is CallState.ASKED]:
            for call in waiting:
                self.by.publisher.approval_changed(self.chat.team, self.chat.id, call)
            raise Parked
        self.run.rounds.append(
            ToolRound(
                turn[0].text_before,
                tuple(call.call for call in turn),
                tuple(call.result for call in turn),
                turn[0].round_extra,
                tuple(call.pictures for call in turn),
            )
        )

    async def _load_turn(self, number: int) -> list[StoredCall]:
        rows = await self._until_stored(lambda: self.by.calls.of_answer(self.run.answer.id))
        return [call for call in rows if call.round == number]

    async def _make_call(self, call: StoredCall) -> None:
        """Makes one call if it may still be made as it was decided; otherwise settles it, or asks again."""
        tool = self.by.tool_of(call)
        if tool is None:
            await self._settle(call, CallState.FAILED, english_strings.TOOL_AWAY)
            return
        permission = (await self._channel_rules()).permission(tool)
        if permission is Permission.DENIED:
            await self._settle(call, CallState.FAILED, english_strings.CALL_FORBIDDEN)
            return
        if (tool.pin != call.pin) if call.asked else (permission is Permission.ASKS):
            await self._until_stored(lambda: self.by.calls.ask_again(call, tool.pin))
            return
        await self._execute(tool, call)

    async def _execute(self, tool: Tool, call: StoredCall) -> None:
        """Records the call, makes it unless another worker may hold the answer, and stores its result."""
        begin = partial(self.by.calls.begin, self.by.worker_id, call)
        self._stop_unless_held(await self._until_stored(begin))
        await self.run.confirm()
        calling = replace(call, state=CallState.CALLING)
        report_step(self.run, calling)
        started = time.monotonic()
        result = await self.by.tools.call(
            tool,
            parsed_arguments(call.call),
            self.by.seconds,
            pictures=self.by.pictures.are_wanted(self.chat, self.run),
        )
        seconds = time.monotonic() - started
        state, text = ended(result, repeatable=call.repeatable)
        async with self.by.pictures.taken(replace(result, text=text), self.run) as (text, pictures):
            await self._settle(calling, state, text, seconds, pictures)

    async def _settle(
        self,
        call: StoredCall,
        state: CallState,
        result: str,
        seconds: float | None = None,
        pictures: Sequence[Image] = (),
    ) -> None:
        """Stores how a call has ended, reports it, and records it in the audit log, without arguments or result.

        Does nothing if the call has changed meanwhile, or is gone.
        """
        if await self._store(call, state, result, seconds, pictures):
            self._report_end(replace(call, state=state, result=result, seconds=seconds))

    def _report_end(self, call: StoredCall) -> None:
        if call.asked:
            self.by.publisher.approval_changed(self.chat.team, self.chat.id, call)
        report_step(self.run, call)
        record_call(self.chat.team, self.chat.id, call)

    async def _store(
        self,
        call: StoredCall,
        state: CallState,
        result: str = "",
        seconds: float | None = None,
        pictures: Sequence[Image] = (),
    ) -> bool:
        return await self._until_stored(
            lambda: self.by.calls.settle(call, state, result, seconds, pictures)
        )

    async def end(self) -> None:
        """The answer was stopped or has failed: its open calls will be neither made nor decided."""
        if self.run.answer.attempt == 1 and self.run.called is None and not self.run.rounds:
            return
        end = partial(self.by.calls.end_open, self.by.worker_id, self.run.answer.id, utc_now())
        ended = await self._until_stored(end)
        if ended is None:
            raise asyncio.CancelledError
        for call in ended:
            self._report_end(call)

    def _stop_unless_held(self, hold: Hold) -> None:
        """Raises CancelledError if no more calls may be made."""
        if hold is Hold.STOPPED:
            self.run.stop()
        if hold is not Hold.HELD:
            raise asyncio.CancelledError

    async def _until_stored(self, work: Callable[[], Awaitable[Stored]]) -> Stored:
        return await until_stored(work, self.run.answer.id)


async def _all_of(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Returns when all are done. If one fails, or the caller is cancelled, the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    async with cancelled_on_leaving(*tasks):
        await asyncio.gather(*tasks)
