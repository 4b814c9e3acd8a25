"""Takes each answer from the queue to its stored end: claims it, asks the model, stores the text, shows all of it.

One task serves one chat, so its answers are written one at a time and in order; the claim in the database ensures the
same across workers. As soon as an answer's text is stored, the next one is claimed and its model asked, while the rest
of the text becomes visible. Everything else that an answer needs is after-work (`bot.answers.after_work`). A worker
holds an answer as long as it renews the lease, which `bot.answers.recovery` does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from bot.answers.after_work import AfterWork
from bot.answers.events import EventPublisher
from bot.answers.generator import AnswerGenerator
from bot.answers.lease import ClockReading, Lease
from bot.answers.running_answer import RunningAnswer, RunState
from bot.answers.sink import AnswerSink, SinkFactory
from bot.answers.storage_retry import until_stored
from bot.answers.tool_loop import Parked, ToolLoop
from bot.domain import Answer, AnswerResult, Chat, Status, TitleBy
from bot.domain.chores import Chore
from bot.errors import ChatNotFound, StorageError
from bot.observability import Metrics, get_logger, log_context
from bot.runtime.memory import MemoryBudget
from bot.timing import Timing
from bot.tracing import Attribute, Span, SpanKind, span
from storage.answers import Answers, Finished
from storage.chats import Chats

Stored = TypeVar("Stored")
log = get_logger(__name__)

OnEnd = Callable[[Chat, AnswerResult], None]
"""Called for every answer whose text is stored. Returns immediately."""


class Engine:
    """Writes the answers that this worker claims."""

    def __init__(
        self,
        *,
        chats: Chats,
        answers: Answers,
        generator: AnswerGenerator,
        sinks: SinkFactory,
        publisher: EventPublisher,
        after_work: AfterWork,
        on_end: OnEnd,
        metrics: Metrics,
        worker_id: str,
        memory: MemoryBudget,
        tool_loop: ToolLoop,
        timing: Timing = Timing(),
    ) -> None:
        self._chats = chats
        self._answers = answers
        self._generator = generator
        self._sinks = sinks
        self._publisher = publisher
        self._memory = memory
        self._tool_loop = tool_loop
        self._after_work = after_work
        self._on_end = on_end
        self._metrics = metrics
        self.worker_id = worker_id
        self._timing = timing
        self._chat_tasks: dict[str, asyncio.Task[None]] = {}
        self._woken_again: set[str] = set()
        """Chats that were woken while their task was running."""
        self._running: dict[str, RunningAnswer] = {}
        self._closing = False
        self.renewal_wanted = asyncio.Event()
        """Set while a writer waits for the database to confirm its lease."""

    @property
    def running(self) -> Mapping[str, RunningAnswer]:
        """The answers that this worker is writing, by id."""
        return self._running

    def wake(self, chat_id: str) -> None:
        """Called when this process has stored work in this chat. Returns immediately; a closing engine leaves the work
        to other workers.
        """
        if self._closing:
            self._publisher.request_wake(chat_id)
        else:
            self.look_for_work(chat_id)

    def look_for_work(self, chat_id: str) -> None:
        """Called when there may be work in this chat. Returns immediately; a closing engine does nothing."""
        if self._closing:
            return
        if chat_id in self._chat_tasks:
            self._woken_again.add(chat_id)
            return
        task = asyncio.create_task(self._serve_chat(chat_id), name=f"chat {chat_id}")
        self._chat_tasks[chat_id] = task
        task.add_done_callback(lambda _: self._on_chat_done(chat_id))

    def stop(self, answer_id: str) -> None:
        """Stops this answer if this worker is writing it; the text so far is kept."""
        if run := self._running.get(answer_id):
            run.stop()

    async def drain(self, grace: float) -> None:
        """Claims nothing more, gives running answers `grace` seconds to end, and hands over the rest."""
        self._closing = True
        if grace > 0 and (write_tasks := self._write_tasks()):
            await asyncio.wait(write_tasks, timeout=grace)
        tasks = [*self._chat_tasks.values(), *self._write_tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(StorageError):
            for chat_id in await self._answers.release(self.worker_id):
                self._publisher.request_wake(chat_id)

    def _write_tasks(self) -> list[asyncio.Task[None]]:
        return [run.write_task for run in self._running.values() if run.write_task is not None]

    # -- one chat ----------------------------------------------------------------------------------------------

    def _on_chat_done(self, chat_id: str) -> None:
        self._chat_tasks.pop(chat_id, None)
        if chat_id in self._woken_again:
            self._woken_again.discard(chat_id)
            self.wake(chat_id)

    async def _serve_chat(self, chat_id: str) -> None:
        """Writes the chat's waiting answers, one after the other."""
        with log_context(chat=chat_id):
            try:
                while not self._closing and (run := await self._claim(chat_id)):
                    self._woken_again.discard(chat_id)
                    self._start_writing(run)
                    await run.text_stored.wait()
                    if await self._nothing_waits_after(run):
                        break
                if self._closing:
                    self._publisher.request_wake(
                        chat_id
                    )  # answers may be waiting behind the last one
            except StorageError as error:
                log.warning("storage_unreachable", reason=str(error))
            except Exception:
                log.exception("chat_crashed")

    async def _nothing_waits_after(self, run: RunningAnswer) -> bool:
        """A read that is cheaper than a claim that finds nothing; it does not find answers to take over."""
        if run.answer.resumed:
            return False
        return (
            await self._stored(run, lambda: self._answers.next_waiting(run.answer.chat_id)) is None
        )

    async def _claim(self, chat_id: str) -> RunningAnswer | None:
        before = ClockReading()
        claim = partial(self._answers.claim, chat_id, self.worker_id, self._timing.lease_duration)
        again = partial(self._claim_again, chat_id, claim)
        answer = await until_stored(claim, chat_id, again=again)
        if answer is None:
            return None
        lease = Lease(before, self.renewal_wanted.set, self._timing.lease_safe)
        return RunningAnswer(answer, self._answers, self.worker_id, lease, self._timing)

    async def _claim_again(
        self, chat_id: str, claim: Callable[[], Awaitable[Answer | None]]
    ) -> Answer | None:
        """Repeats a claim that failed, possibly after it took effect: an answer that was claimed unknowingly is
        released.
        """
        await self._answers.release(self.worker_id, chat_id=chat_id, keep=list(self._running))
        return await claim()

    # -- one answer --------------------------------------------------------------------------------------------

    def _start_writing(self, run: RunningAnswer) -> None:
        """Starts the work on a claimed answer and its first chores."""
        answer = run.answer
        if answer.attempt > 1:
            log.info("answer_resumed", answer=answer.id, attempt=answer.attempt)
        if answer.taken_over:
            self._metrics.count_takeover()
        if answer.stop_requested:
            run.stop()
        run.predecessor = self._newest_write_task(answer.chat_id)
        self._running[answer.id] = run
        self._metrics.set_running(len(self._running))
        if answer.question_ts is None:
            run.question_task = self._show_question(answer)
        if answer.was_queued or answer.question_ts is None or answer.stop_hidden:
            self._after_work.start(answer.id)
        run.write_task = asyncio.create_task(self._write(run), name=f"answering {answer.id}")
        run.write_task.add_done_callback(partial(self._on_written, run))

    def _show_question(self, answer: Answer) -> asyncio.Task[None]:
        """Starts only that chore: the first words wait for it, and for nothing else."""
        if answer.resumed:
            return self._after_work.start_until_shown(answer.id)
        return self._after_work.start(answer.id, Chore.SHOW_QUESTION)

    def _newest_write_task(self, chat_id: str) -> asyncio.Task[None] | None:
        runs = [run for run in self._running.values() if run.answer.chat_id == chat_id]
        return runs[-1].write_task if runs else None

    def _on_written(self, run: RunningAnswer, task: asyncio.Task[None]) -> None:
        """Called when the work on an answer has ended. Losing the answer to another worker is not an error."""
        run.release()
        self._running.pop(run.answer.id, None)
        self._metrics.set_running(len(self._running))
        run.text_stored.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ChatNotFound):
            log.info("answer_erased", answer=run.answer.id)
        elif error is not None:
            log.error("answer_crashed", answer=run.answer.id, exc_info=error)

    async def _write(self, run: RunningAnswer) -> None:
        chat = await self._stored(run, lambda: self._chats.get(run.answer.chat_id))
        with log_context(team=chat.team, answer=run.answer.id), _span_of(run.answer, chat):
            sink = await self._stored(run, lambda: self._sinks(chat, run.answer, run))
            await sink.open()
            try:
                result = await self._obtain_result(run, chat, sink)
                run.enter(RunState.SHOWING)
                run.text_stored.set()
                left = await sink.close(result)
            except Parked:
                try:
                    await sink.settle()
                finally:
                    left = await asyncio.shield(sink.abandon())
                await self._park(run, left)
                return
            except BaseException:
                await asyncio.shield(sink.abandon())
                raise
            run.enter(RunState.FINISHING)
            await self._finish(run, chat, result, left)

    async def _obtain_result(
        self, run: RunningAnswer, chat: Chat, sink: AnswerSink
    ) -> AnswerResult:
        """The stored result if an earlier worker had only to show it, else the model's, which is stored."""
        result: AnswerResult | None = None
        if run.answer.text_complete:
            result = await self._stored(run, lambda: self._answers.result(run.answer.id))
        if result is not None and run.answer.status.ended:
            return result
        with self._memory.reserve(chat.team) as run.reservation:
            result = result or await self._generator.generate(run, chat, sink)
            return await self._store_result(run, chat, result)

    async def _park(self, run: RunningAnswer, left: Mapping[Chore, float]) -> None:
        """Releases an answer that waits for a decision."""
        answer = run.answer
        run.enter(RunState.RELEASED)
        if await self._stored(run, lambda: self._tool_loop.park(run, left)):
            self._generator.count_usage(run.recorded)
            log.info("answer_parked", answer=answer.id)
            self._after_work.start(answer.id)
            self.wake(answer.chat_id)

    async def _store_result(
        self, run: RunningAnswer, chat: Chat, result: AnswerResult
    ) -> AnswerResult:
        """Stores the whole text and how the answer ended, and publishes it; returns the result as stored."""
        answer, then = run.answer, _chores_of_end(chat, result)
        pictures = run.pictures if result.pictures else ()
        stored = await self._held(
            run,
            lambda: self._answers.save_result(
                answer.id, self.worker_id, result, then, run.calls, pictures
            ),
        )
        run.forget_pictures()
        self._generator.count_usage([*run.recorded, *run.calls])
        self._metrics.count_answer(result.status)
        log.info("answer_ended", answer=answer.id, outcome=result.status, error=result.error)
        self._publisher.answer_ended(chat, answer, result)
        self._on_end(chat, result)
        if then:
            self._after_work.start(answer.id)
        if stored is None:  # an earlier attempt stored it, but the database did not confirm it
            stored = await self._stored(run, lambda: self._answers.result(answer.id))
        return stored or result

    async def _finish(
        self, run: RunningAnswer, chat: Chat, result: AnswerResult, left: Mapping[Chore, float]
    ) -> None:
        """Stores that everything is shown, and the remaining chores."""
        answer = run.answer
        if chat.thread is not None and result.pictures:
            left = {**left, Chore.SHOW_PICTURES: 0.0}
        finished = await self._held(
            run,
            lambda: self._answers.finish(
                answer.id, self.worker_id, run.unrecorded_messages, left, run.refusal
            ),
        )
        log.debug("answer_shown", answer=answer.id)
        if left:
            self._after_work.start(answer.id)
        if finished is Finished.WAITS_AGAIN:
            self.wake(answer.chat_id)

    async def _stored(self, run: RunningAnswer, work: Callable[[], Awaitable[Stored]]) -> Stored:
        """Returns what the work reads from the database, however long the database is down."""
        return await until_stored(work, run.answer.id)

    async def _held(
        self, run: RunningAnswer, store: Callable[[], Awaitable[Stored | None]]
    ) -> Stored | None:
        """Stores what must not be lost, however long the database is down. A lost lease ends the run.

        None: an earlier attempt stored it, but the database did not confirm it.
        """
        stored = await until_stored(store, run.answer.id)
        if not stored and not await until_stored(lambda: self._is_stored(run), run.answer.id):
            run.release()
            raise asyncio.CancelledError
        return stored or None

    async def _is_stored(self, run: RunningAnswer) -> bool:
        """Whether this worker's result is stored: every claim increments the attempts, so no other worker had this one.

        Raises ChatNotFound when the chat was erased.
        """
        stored = await self._answers.get(run.answer.id)
        return stored.attempt == run.answer.attempt and stored.text_complete


def _span_of(answer: Answer, chat: Chat) -> AbstractContextManager[Span]:
    """A span from the claim of an answer to its end, in the trace that its question began."""
    attributes: dict[str, Attribute] = {
        "bobbin.answer.id": answer.id,
        "bobbin.answer.attempt": answer.attempt,
        "gen_ai.conversation.id": chat.id,
        "bobbin.team": chat.team,
    }
    return span("write answer", SpanKind.CONSUMER, parent=answer.trace, attributes=attributes)


def _chores_of_end(chat: Chat, result: AnswerResult) -> dict[Chore, float]:
    """The chores that are due once the text is stored: a title, if the chat has none and there is text to base one
    on.
    """
    due = {Chore.HIDE_STOP: 0.0} if chat.thread is not None else {}
    titled = chat.title_by is not TitleBy.DEFAULT
    has_content = result.text or result.pictures
    if titled or not has_content or result.status is Status.FAILED:
        return due
    return due | {Chore.TITLE: 0.0}
