"""One answer while this worker writes it: its text so far, its lease, and the state of the work.

WRITING ── stop ──▶ STOPPING
   │                    │
   ├── text is stored ──┤
   │                    ▼
   │                 SHOWING     the next answer of the chat may begin
   │                    │
   │                    ▼
   │                FINISHING
   │                    │
   └───── release ──────┴──▶ RELEASED      (from every state)
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from bot.answers.lease import Lease
from bot.answers.step_log import StepLog
from bot.answers.storage_retry import until_stored
from bot.domain import WHOLE_CHAT, Answer, Image, MessageRef, PromptFacts, Source, Usage
from bot.domain.stream_events import MadeImage, ToolsCalled
from bot.domain.tool_calls import ToolRound
from bot.errors import ProviderError, StorageError
from bot.providers.base import ModelRequest
from bot.runtime.memory import MemoryReservation
from bot.timing import Timing
from bot.usage.calls import Call, Estimate, Meter
from storage.answers import Answers

FitPrompt = Callable[[int, int | None], Awaitable[ModelRequest]]
"""Makes a request from the part of the chat that fits. Raises StorageError.

The numbers: estimated tokens of what is sent besides the chat, and of a request that was too long.
"""


class RunState(Enum):
    """How far the work on an answer has come."""

    WRITING = auto()
    """The model is being asked."""
    STOPPING = auto()
    """A user ended the answer: the model call is cancelled, and the text so far is kept."""
    SHOWING = auto()
    """The text is stored, and the parts that are not visible yet are being shown."""
    FINISHING = auto()
    """The end is being stored, after which there is no lease left to renew."""
    RELEASED = auto()
    """This worker no longer holds the answer: it is finished, was handed over, or was taken over by another worker."""


_NEXT_STATES = {
    RunState.WRITING: {RunState.STOPPING, RunState.SHOWING, RunState.RELEASED},
    RunState.STOPPING: {RunState.SHOWING, RunState.RELEASED},
    RunState.SHOWING: {RunState.FINISHING, RunState.RELEASED},
    RunState.FINISHING: {RunState.RELEASED},
    RunState.RELEASED: set[RunState](),
}
HOLDING = frozenset({RunState.WRITING, RunState.STOPPING, RunState.SHOWING})
"""The states in which the lease is renewed."""


@dataclass(eq=False)
class RunningAnswer:
    """One answer that this worker is writing (the sink's `AnswerControl`)."""

    answer: Answer
    answers: Answers
    worker_id: str
    lease: Lease
    timing: Timing = Timing()
    text: list[str] = field(default_factory=list)
    length: int = 0
    """Characters in `text`."""
    usage: Usage | None = None
    """What the last model call used."""
    calls: list[Call] = field(default_factory=list)
    """Ended model calls that are not in the ledger yet."""
    meter: Meter | None = None
    """Measures the current or last model call."""
    recorded: list[Call] = field(default_factory=list)
    """Calls of turns with tool calls, which are already in the ledger."""
    sources: tuple[Source, ...] = ()
    sources_before: tuple[Source, ...] = ()
    """The sources of the turns before the current one."""
    steps: StepLog = field(default_factory=StepLog)
    received_pictures: tuple[MadeImage, ...] = ()
    """As the model's server sent them, from all turns so far."""
    pictures_before: int = 0
    """How many of them are from earlier turns."""
    pictures: tuple[Image, ...] = ()
    """The pictures as they are stored, once the model has ended."""
    reservation: MemoryReservation | None = None
    """The memory that they take."""
    fit_prompt: FitPrompt | None = None
    """Makes the requests for this answer, once its chat has been read."""
    rounds: list[ToolRound] = field(default_factory=list)
    """The model's turns so far that called tools."""
    called: ToolsCalled | None = None
    """The tool calls of the current turn."""
    turn_start: int = 0
    """Where the current turn begins in `text`."""
    retracted: bool = False
    """Whether shown text turned out not to belong to the answer: subscribers get the rest at its end."""
    prompt: PromptFacts = WHOLE_CHAT
    """What the model was sent of the chat."""
    ask_until: float = math.inf
    """When the model must have ended, including all attempts; by the monotonic clock."""
    finish_reason: str = "stop"
    state: RunState = RunState.WRITING
    unrecorded_messages: tuple[MessageRef, ...] | None = None
    """The Slack messages that show the answer, if the database does not know them yet; stored with the end."""
    refusal: str | None = None
    """The surface's error code if it does not let the answer be written."""
    model_task: asyncio.Task[None] | None = None
    """Asks the model and reads its stream."""
    write_task: asyncio.Task[None] | None = None
    """All work on the answer, from the prompt to the stored end."""
    question_task: asyncio.Task[None] | None = None
    """Shows the question, if it came through the API."""
    predecessor: asyncio.Task[None] | None = None
    """The `write_task` of the previous answer, if this process is still showing that."""
    text_stored: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the next answer of the chat may begin: the text is stored, or this worker has stopped writing."""

    def enter(self, state: RunState) -> bool:
        """Moves to another state; returns False, without a change, if the diagram has no such arrow."""
        if state not in _NEXT_STATES[self.state]:
            return False
        self.state = state
        return True

    def begin_asking(self) -> None:
        """The model is about to be asked for the first time."""
        self.ask_until = time.monotonic() + self.timing.longest_answer

    @property
    def seconds_to_ask(self) -> float:
        """How much longer the model may take, including all remaining attempts."""
        return max(0.0, self.ask_until - time.monotonic())

    @property
    def has_content(self) -> bool:
        """Whether the model has sent part of its turn, so that asking again would pay for it twice."""
        return bool(self.turn_text or self.received_pictures[self.pictures_before :])

    def forget_pictures(self) -> None:
        """The pictures are stored."""
        self.received_pictures, self.pictures = (), ()

    def note_pictures(self, pictures: tuple[MadeImage, ...]) -> None:
        """Records the pictures that the model has made in its current turn."""
        self.received_pictures = self.received_pictures[: self.pictures_before] + pictures

    @property
    def turn_text(self) -> str:
        """The text of the model's current turn."""
        return "".join(self.text[self.turn_start :])

    def begin_turn(self) -> None:
        """The model is about to be asked to continue the text so far."""
        self.turn_start, self.called = len(self.text), None
        self.pictures_before = len(self.received_pictures)
        self.sources_before = self.sources

    def note_recorded(self) -> None:
        """The ended model calls are now in the ledger."""
        self.recorded += self.calls
        self.calls.clear()

    @asynccontextmanager
    async def noting(self, call: Call, estimate: Estimate) -> AsyncIterator[None]:
        """Notes that a model is called inside the block, so that a worker that takes over counts a call cut off by a
        kill.

        `estimate`: of what is sent. Raises CancelledError when this worker has lost the answer.
        """
        # If the database is down the model is asked anyway, and a kill leaves the call uncounted.
        with contextlib.suppress(StorageError):
            if not await self.answers.begin_call(self.answer.id, self.worker_id, call.id, estimate):
                raise asyncio.CancelledError
        try:
            yield
        except (StorageError, ProviderError):
            await self._forget_free_call()
            raise

    async def _forget_free_call(self) -> None:
        """Removes the note of a call that failed for free: it was not made, or was refused without a response.

        If the database is down, a kill before the next note counts it anyway.
        """
        if self.meter is not None and self.meter.is_free:
            with contextlib.suppress(StorageError):
                await self.answers.forget_call(self.answer.id, self.worker_id)

    def retract(self) -> None:
        """None of the current turn's text belongs to the answer."""
        del self.text[self.turn_start :]
        self.retracted = True

    def stop(self) -> None:
        """A user stopped the answer: cancels the model call."""
        if self.enter(RunState.STOPPING) and self.model_task is not None:
            self.model_task.cancel()

    def release(self) -> None:
        """This worker no longer holds the answer: cancels everything that waits for the lease."""
        self.enter(RunState.RELEASED)
        self.lease.lose()

    def abort(self) -> None:
        """Another worker has taken over: cancels all work on the answer here."""
        self.release()
        if self.write_task is not None:
            self.write_task.cancel()

    async def record_messages(self, parts: tuple[MessageRef, ...]) -> None:
        self.unrecorded_messages = parts
        # If the database is down, a later record repeats this, and a worker that takes over finds the messages itself.
        with contextlib.suppress(StorageError):
            if not await self.answers.save_slack_messages(self.answer.id, self.worker_id, parts):
                self.abort()
            self.unrecorded_messages = None

    def note_final_messages(self, parts: tuple[MessageRef, ...]) -> None:
        self.unrecorded_messages = parts

    def note_refusal(self, code: str) -> None:
        self.refusal = code

    async def wait_for_turn(self) -> None:
        if self.question_task is not None:
            resumed, usual = self.timing.question_resumed_timeout, self.timing.question_timeout
            timeout = resumed if self.answer.resumed else usual
            await asyncio.wait([self.question_task], timeout=timeout)
        while self.answer.follows_unshown and await self._is_preceded():
            await self._wait_for_predecessor()

    async def _is_preceded(self) -> bool:
        return await until_stored(
            lambda: self.answers.has_unshown_before(self.answer), self.answer.id
        )

    async def _wait_for_predecessor(self) -> None:
        if self.predecessor is not None and not self.predecessor.done():
            await asyncio.wait([self.predecessor])
        else:  # another process shows it, or will take it over
            await asyncio.sleep(self.timing.turn_poll_interval)

    async def confirm(self) -> None:
        await self.lease.confirm()

    def invalidate(self) -> None:
        self.lease.invalidate()
