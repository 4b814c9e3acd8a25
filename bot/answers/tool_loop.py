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
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, groupby
from typing import Any

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
    CallOutcome,
    CallResult,
    CallState,
    ChannelTools,
    Permission,
    StoredCall,
    Tool,
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

READY_TIMEOUT = 10.0
"""Seconds after a process's start in which answers wait for tool servers that are still connecting."""
MAX_EXTRA_ROUNDS = 2
"""Turns with calls beyond the limit, which are not made, before the answer fails."""


class Parked(Exception):
    """The answer waits for a decision; its worker releases it."""


class ToolLoop:
    """Carries out the calls of all answers of the process."""

    def __init__(
        self,
        tools: Tools,
        calls: ToolCalls,
        publisher: EventPublisher,
        worker_id: str,
        *,
        steps: int,
        seconds: float,
        rules: RulesOf,
        pictures: ToolPictures,
        room: RoomForTools,
    ) -> None:
        """`steps`: the most calls of one answer. `seconds`: for one call. `rules`: what a chat's channel allows.

        `room`: the estimated tokens that tool definitions may take in a prompt.
        """
        self._room = room
        self._pictures = pictures
        self._rules = rules
        self._tools = tools
        self._calls = calls
        self._publisher = publisher
        self._worker_id = worker_id
        self._steps = steps
        self._seconds = seconds

    async def ready(self) -> None:
        """Waits for servers that are still connecting, in the first seconds of the process."""
        await self._tools.ready(READY_TIMEOUT)

    async def offered(self, run: RunningAnswer, chat: Chat) -> list[Tool]:
        """The tools that the model is sent: the first ones, of those that it may use, that fit its window."""
        rules = await self._rules_of(run, chat)
        usable = first_tools(
            tool
            for tool in self._tools.tools.values()
            if rules.permission(tool) is not Permission.DENIED
        )
        taken = accumulate(tokens_of_tool(tool) for tool in usable)
        room = self._room(chat)
        fitting = [tool for tool, tokens in zip(usable, taken, strict=True) if tokens <= room]
        if len(fitting) < len(usable):
            run.steps.change(StepChanged("tools", StepKind.TOOLS, StepStatus.DENIED))
        return fitting

    def called(self, run: RunningAnswer, chat: Chat, request: ModelRequest) -> dict[str, Any]:
        """The fields of a `ModelRequest` that report earlier calls, and whether more may be made."""
        rounds = self._pictures.sent(chat, run.rounds, request.messages)
        return {"rounds": rounds, "may_call": self._left(run) > 0}

    async def _rules_of(self, run: RunningAnswer, chat: Chat) -> ChannelTools:
        """The channel's current rules, which admins may change at any time."""
        if not self._tools.tools:
            return ALL_TOOLS
        return await until_stored(lambda: self._rules(chat), run.answer.id)

    def exhausted(self, run: RunningAnswer) -> bool:
        """Whether the model keeps calling tools although it was told to stop."""
        return len(run.rounds) >= self._steps + MAX_EXTRA_ROUNDS

    def _left(self, run: RunningAnswer) -> int:
        return self._steps - sum(len(turn.calls) for turn in run.rounds)

    # -- resuming from stored rows ---------------------------------------------------------------------------------

    async def stored(self, run: RunningAnswer) -> list[list[StoredCall]]:
        """The turns of earlier attempts at this answer."""
        if run.answer.attempt <= 1:
            return []
        rows = await until_stored(lambda: self._calls.of_answer(run.answer.id), run.answer.id)
        for row in rows:
            report_step(run, row)
        return [list(turn) for _, turn in groupby(rows, key=lambda call: call.round)]

    async def go_on(self, run: RunningAnswer, chat: Chat, turn: Sequence[StoredCall]) -> None:
        """Finishes a stored turn: makes the calls that may be made (again), and adds the results to the answer. Raises
        Parked.
        """
        for call in turn:
            if call.state is CallState.CALLING:
                await self._take_up(run, chat, call)
            elif call.overdue:
                await self._settle(run, chat, call, CallState.DENIED, english_strings.CALL_EXPIRED)
            elif call.unaskable:
                reason = english_strings.CALL_UNASKABLE
                await self._settle(run, chat, call, CallState.DENIED, reason)
        await self._work_off(run, chat, turn[0].round)

    async def _take_up(self, run: RunningAnswer, chat: Chat, call: StoredCall) -> None:
        """Decides about a call that another process was making when it ended."""
        if call.repeatable and await self._may_be_made_again(run, chat, call):
            await self._store(run, call, CallState.READY)
            return
        lost = CallResult(CallOutcome.UNKNOWN, english_strings.CALL_LOST)
        await self._settle(run, chat, call, *ended(lost, repeatable=call.repeatable))

    async def _may_be_made_again(self, run: RunningAnswer, chat: Chat, call: StoredCall) -> bool:
        """Whether it may be made again: nobody has been told or asked anything that hides that it may have taken
        effect.
        """
        tool = self._tools.tools.get(call.call.name)
        if tool is None or tool.pin != call.pin:
            return False
        permission = (await self._rules_of(run, chat)).permission(tool)
        return permission is Permission.RUNS or (call.asked and permission is Permission.ASKS)

    # -- a new turn ------------------------------------------------------------------------------------------------

    async def carry_out(
        self, run: RunningAnswer, chat: Chat, said: str, called: ToolsCalled
    ) -> None:
        """Stores a turn's calls, makes those that may be made, and adds the turn to the answer.

        Raises Parked, BudgetUsedUp.
        """
        number, left = len(run.rounds), self._left(run)
        rules = await self._rules_of(run, chat)
        rows = []
        for place, call in enumerate(called.calls):
            row = StoredCall(
                id=new_id(),
                answer_id=run.answer.id,
                round=number,
                number=place,
                call=call,
                path=call.name,
                state=CallState.FAILED,
                said="" if place else said,
                round_extra="" if place else called.extra,
                asker=run.answer.asker,
            )
            rows.append(await self._judged(run, chat, row, rules, allowed=place < left))
        await self._add(run, chat, rows)
        await self._work_off(run, chat, number)

    async def _add(self, run: RunningAnswer, chat: Chat, rows: Sequence[StoredCall]) -> None:
        """Stores a turn's calls, and what the model has used for it. Raises BudgetUsedUp: then none of them is made."""
        add = partial(self._calls.add, self._worker_id, chat.id, rows, tuple(run.calls))
        try:
            hold = await until_stored(add, run.answer.id)
        except BudgetReached as reached:
            run.note_recorded()
            for row in rows:
                self._report_end(run, chat, over_budget(row))
            raise BudgetUsedUp(to_detail(reached)) from None
        _go_on_if_held(run, hold)
        run.note_recorded()
        for row in rows:
            if row.state.ended:
                self._report_end(run, chat, row)
            else:
                report_step(run, row)

    async def _judged(
        self,
        run: RunningAnswer,
        chat: Chat,
        row: StoredCall,
        rules: ChannelTools,
        *,
        allowed: bool,
    ) -> StoredCall:
        """The call in its next state: to be made, to be asked about, or refused."""
        tool = self._tools.tools.get(row.call.name)
        if tool is not None:
            row = replace(row, path=tool.path, pin=tool.pin, repeatable=tool.repeatable)
        if not allowed:
            return replace(row, result=english_strings.CALLS_TOO_MANY.format(count=self._steps))
        if tool is None:
            return replace(row, result=english_strings.CALL_OF_NOTHING)
        if not is_object(row.call):
            return replace(row, result=english_strings.CALL_MALFORMED)
        permission = rules.permission(tool)
        if permission is Permission.DENIED:
            return replace(row, result=english_strings.CALL_FORBIDDEN)
        asks = permission is not Permission.RUNS
        granted = asks and await until_stored(
            lambda: self._calls.is_granted(chat.id, run.answer.asker, tool.pin), run.answer.id
        )
        state = CallState.ASKED if asks and not granted else CallState.READY
        decided_by = run.answer.asker if granted else None
        return replace(row, state=state, asked=asks, decided_by=decided_by)

    # -- making calls ----------------------------------------------------------------------------------------------

    async def _work_off(self, run: RunningAnswer, chat: Chat, number: int) -> None:
        """Makes the calls of a stored turn that may be made. Raises Parked."""
        turn = await self._turn(run, number)
        reading = [call for call in turn if call.state is CallState.READY and self._reads(call)]
        await _all_of(self._make(run, chat, call) for call in reading)
        while call := next_call(turn := await self._turn(run, number), self._reads):
            await self._make(run, chat, call)
        if not turn or any(call.state is CallState.CALLING for call in turn):
            # The asker has been erased together with these calls, or another worker continues the answer.
            hold = partial(self._calls.hold, self._worker_id, run.answer.id)
            _go_on_if_held(run, await until_stored(hold, run.answer.id))
            raise asyncio.CancelledError
        if waiting := [call for call in turn if call.state is CallState.ASKED]:
            for call in waiting:
                self._publisher.approval_changed(chat.team, chat.id, call)
            raise Parked
        run.rounds.append(
            ToolRound(
                turn[0].said,
                tuple(call.call for call in turn),
                tuple(call.result for call in turn),
                turn[0].round_extra,
                tuple(call.pictures for call in turn),
            )
        )

    def _reads(self, call: StoredCall) -> bool:
        tool = self._tools.tools.get(call.call.name)
        return tool is not None and tool.reads

    async def _turn(self, run: RunningAnswer, number: int) -> list[StoredCall]:
        rows = await until_stored(lambda: self._calls.of_answer(run.answer.id), run.answer.id)
        return [call for call in rows if call.round == number]

    async def _make(self, run: RunningAnswer, chat: Chat, call: StoredCall) -> None:
        """Makes one call: recorded before, made, and its result stored. Not made unless this worker certainly holds the
        answer.
        """
        tool = self._tools.tools.get(call.call.name)
        if tool is None:
            await self._settle(run, chat, call, CallState.FAILED, english_strings.TOOL_AWAY)
            return
        permission = (await self._rules_of(run, chat)).permission(tool)
        if permission is Permission.DENIED:
            await self._settle(run, chat, call, CallState.FAILED, english_strings.CALL_FORBIDDEN)
            return
        if (tool.pin != call.pin) if call.asked else (permission is Permission.ASKS):
            await until_stored(lambda: self._calls.ask_again(call, tool.pin), run.answer.id)
            return
        begin = partial(self._calls.begin, self._worker_id, call)
        _go_on_if_held(run, await until_stored(begin, run.answer.id))
        await run.confirm()
        report_step(run, replace(call, state=CallState.CALLING))
        started = time.monotonic()
        result = await self._tools.call(
            tool,
            parsed_arguments(call.call),
            self._seconds,
            pictures=self._pictures.are_wanted(chat, run),
        )
        calling = replace(call, state=CallState.CALLING)
        state, text_for_model = ended(result, repeatable=call.repeatable)
        seconds = time.monotonic() - started
        async with self._pictures.taken(replace(result, text=text_for_model), run) as (
            text,
            pictures,
        ):
            await self._settle(run, chat, calling, state, text, seconds, pictures)

    async def _settle(
        self,
        run: RunningAnswer,
        chat: Chat,
        call: StoredCall,
        state: CallState,
        result: str,
        seconds: float | None = None,
        pictures: Sequence[Image] = (),
    ) -> None:
        """Stores how a call has ended, reports it, and records it in the audit log, without arguments or result.

        Does nothing if the call has changed meanwhile, or is gone.
        """
        if await self._store(run, call, state, result, seconds, pictures):
            self._report_end(run, chat, replace(call, state=state, result=result, seconds=seconds))

    def _report_end(self, run: RunningAnswer, chat: Chat, call: StoredCall) -> None:
        if call.asked:
            self._publisher.approval_changed(chat.team, chat.id, call)
        report_step(run, call)
        record_call(chat.team, chat.id, call)

    async def _store(
        self,
        run: RunningAnswer,
        call: StoredCall,
        state: CallState,
        result: str = "",
        seconds: float | None = None,
        pictures: Sequence[Image] = (),
    ) -> bool:
        return await until_stored(
            lambda: self._calls.settle(call, state, result, seconds, pictures), run.answer.id
        )

    async def park(self, run: RunningAnswer, then: Mapping[Chore, float]) -> bool:
        """Stores that the answer waits for a decision, and the remaining chores.

        False when the worker no longer holds it.
        """

        def goes_on(calls: Sequence[StoredCall]) -> bool:
            nobody_decides = any(call.unaskable for call in calls)
            return nobody_decides or next_call(calls, self._reads) is not None

        return await self._calls.park(self._worker_id, run.answer.id, then, goes_on)

    async def end(self, run: RunningAnswer, chat: Chat) -> None:
        """The answer was stopped or has failed: its open calls will be neither made nor decided."""
        if run.answer.attempt == 1 and run.called is None and not run.rounds:
            return
        end = partial(self._calls.end_open, self._worker_id, run.answer.id, utc_now())
        ended = await until_stored(end, run.answer.id)
        if ended is None:
            raise asyncio.CancelledError
        for call in ended:
            self._report_end(run, chat, call)


def _go_on_if_held(run: RunningAnswer, hold: Hold) -> None:
    """Raises CancelledError if no more calls may be made."""
    if hold is Hold.STOPPED:
        run.stop()
    if hold is not Hold.HELD:
        raise asyncio.CancelledError


async def _all_of(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Returns when all are done. If one fails, or the caller is cancelled, the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    async with cancelled_on_leaving(*tasks):
        await asyncio.gather(*tasks)
