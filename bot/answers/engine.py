"""Takes each answer from the queue to its stored end: claim it, ask the model, show the text, store the result.

One task serves one chat, so its answers come one at a time and in order; the claim in the database ensures this across
workers. A running answer belongs to its worker as long as the lease is renewed, which `bot.answers.recovery` does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from bot.answers.events import EventPublisher
from bot.answers.generator import AnswerGenerator, BuildPrompt, Models
from bot.answers.lease import ClockReading, Lease
from bot.answers.retry import until_stored
from bot.answers.running_answer import RunningAnswer, RunState
from bot.answers.sink import AnswerSink, SinkFactory
from bot.domain import Answer, AnswerResult, Chat
from bot.errors import StorageError
from bot.observability import Metrics, get_logger, log_context
from bot.timing import Timing
from storage.answers import Answers
from storage.chats import Chats

log = get_logger(__name__)

AfterAnswer = Callable[[Chat, Answer, AnswerResult], Awaitable[None]]
"""Called for every answer that has ended, once the end is stored."""


class Engine:
    """Writes the answers that this worker claims."""

    def __init__(
        self,
        *,
        chats: Chats,
        answers: Answers,
        models: Models,
        sinks: SinkFactory,
        publisher: EventPublisher,
        build_prompt: BuildPrompt,
        after: AfterAnswer,
        metrics: Metrics,
        worker_id: str,
        timing: Timing = Timing(),
    ) -> None:
        self._chats = chats
        self._answers = answers
        self._sinks = sinks
        self._publisher = publisher
        self._generator = AnswerGenerator(models, build_prompt, publisher, metrics)
        self._after = after
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
        """This process has stored work in this chat. Returns at once; a closing engine leaves it to other workers."""
        if self._closing:
            self._publisher.request_wake(chat_id)
        else:
            self.look_for_work(chat_id)

    def look_for_work(self, chat_id: str) -> None:
        """There may be work in this chat. Returns at once; a closing engine does nothing."""
        if self._closing:
            return
        if chat_id in self._chat_tasks:
            self._woken_again.add(chat_id)
            return
        task = asyncio.create_task(self._serve_chat(chat_id), name=f"chat {chat_id}")
        self._chat_tasks[chat_id] = task
        task.add_done_callback(lambda _: self._on_chat_done(chat_id))

    def stop(self, answer_id: str) -> None:
        """Ends this answer if this worker is writing it; the text so far is kept."""
        if run := self._running.get(answer_id):
            run.stop()

    async def drain(self, grace: float) -> None:
        """Claims nothing more, gives running answers `grace` seconds to end, and hands over the rest."""
        self._closing = True
        write_tasks = [run.write_task for run in self._running.values() if run.write_task]
        if write_tasks and grace > 0:
            await asyncio.wait(write_tasks, timeout=grace)
        tasks = list(self._chat_tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(StorageError):
            for chat_id in await self._answers.release(self.worker_id):
                self._publisher.request_wake(chat_id)

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
                    await self._run(run)
                    # This read is cheaper than a claim that finds nothing.
                    if await self._answers.next_waiting(chat_id) is None:
                        break
                if self._closing:
                    self._publisher.request_wake(chat_id)  # answers may wait behind the last one
            except StorageError as error:
                log.warning("storage_unreachable", reason=str(error))
            except Exception:
                log.exception("answer_crashed")

    async def _claim(self, chat_id: str) -> RunningAnswer | None:
        before = ClockReading()
        answer = await self._answers.claim(chat_id, self.worker_id, self._timing.lease)
        if answer is None:
            return None
        lease = Lease(before, self.renewal_wanted.set, self._timing.lease_safe)
        return RunningAnswer(answer, self._answers, self.worker_id, lease)

    # -- one answer --------------------------------------------------------------------------------------------

    async def _run(self, run: RunningAnswer) -> None:
        """Writes one claimed answer; losing it to another worker is not an error."""
        answer = run.answer
        self._running[answer.id] = run
        self._metrics.set_running(len(self._running))
        if answer.attempt > 1:
            log.info("answer_resumed", answer=answer.id, attempt=answer.attempt)
        if answer.taken_over:
            self._metrics.count_takeover()
        run.write_task = asyncio.create_task(self._write(run), name=f"answering {answer.id}")
        try:
            await asyncio.wait([run.write_task])
        except asyncio.CancelledError:
            run.write_task.cancel()
            await asyncio.wait([run.write_task])
            raise
        finally:
            run.release()
            self._running.pop(answer.id, None)
            self._metrics.set_running(len(self._running))
        if not run.write_task.cancelled():
            run.write_task.result()

    async def _write(self, run: RunningAnswer) -> None:
        chat = await self._chats.get(run.answer.chat_id)
        with log_context(team=chat.team, answer=run.answer.id):
            result = await self._show(run, chat)
            run.enter(RunState.FINISHING)
            await self._finish(run, chat, result)

    async def _show(self, run: RunningAnswer, chat: Chat) -> AnswerResult:
        """Obtains the result and shows it, through the sink."""
        sink = await self._sinks(chat, run.answer, run)
        await sink.open()
        try:
            result = await self._obtain_result(run, chat, sink)
            await sink.close(result)
        except BaseException:
            await asyncio.shield(sink.abandon())
            raise
        return result

    async def _obtain_result(
        self, run: RunningAnswer, chat: Chat, sink: AnswerSink
    ) -> AnswerResult:
        """The stored result when an earlier worker had only to show it, else the model's."""
        if run.answer.text_complete:
            stored = await self._answers.result(run.answer.id)
            if stored is not None:
                return stored
        result = await self._generator.generate(run, chat, sink)
        await self._store(
            run, lambda: self._answers.save_result(run.answer.id, self.worker_id, result)
        )
        return result

    async def _finish(self, run: RunningAnswer, chat: Chat, result: AnswerResult) -> None:
        """Stores the end and publishes it."""
        await self._store(
            run,
            lambda: self._answers.finish(run.answer.id, self.worker_id, run.unrecorded_messages),
        )
        self._metrics.count_answer(result.status)
        log.info("answer_ended", answer=run.answer.id, outcome=result.status, error=result.error)
        self._publisher.answer_ended(chat, run.answer, result)
        await self._after(chat, run.answer, result)

    async def _store(self, run: RunningAnswer, store: Callable[[], Awaitable[bool]]) -> None:
        """Stores what must not be lost, however long the database is away. A lost lease ends the run."""
        if not await until_stored(store, run.answer.id):
            run.release()
            raise asyncio.CancelledError
