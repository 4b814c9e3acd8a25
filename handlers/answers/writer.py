"""One answer in Slack: a native stream or edits, rolled over, put right after every failure, closed with buttons."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from bot import strings
from bot.answers.retry import until_stored
from bot.answers.sink import AnswerControl
from bot.domain import Answer, AnswerResult, Chat, MessageRef, Status
from bot.observability import get_logger
from handlers.answers.draft import STREAM_LIFE, Draft
from handlers.answers.options import AnswerOptions
from handlers.answers.thinking_status import ThinkingStatus
from handlers.client.errors import (
    FATAL_CODES,
    ConnectFailed,
    OutcomeUnknown,
    RateLimited,
    SlackError,
    SlackRejected,
)
from handlers.client.web_api import SlackClient
from handlers.markdown.text import plain
from handlers.rate_limits.scheduler import PendingWrite, Shown
from handlers.rate_limits.token_bucket import APPEND, POST, START, STOP, UPDATE
from handlers.threads.direct_messages import cannot_write
from handlers.views import blocks

log = get_logger(__name__)

NOT_STREAMING = frozenset(
    {"message_not_in_streaming_state", "message_not_found", "message_not_owned_by_app"}
)


class AnswerWriter:
    """Shows one answer in its thread (a `ReplySink`)."""

    def __init__(
        self,
        slack: SlackClient,
        chat: Chat,
        answer: Answer,
        control: AnswerControl,
        options: AnswerOptions,
    ) -> None:
        assert chat.thread is not None
        self._slack, self._chat, self._answer, self._control, self._options = (
            slack,
            chat,
            answer,
            control,
            options,
        )
        self._channel, self._thread = chat.thread.channel, chat.thread.ts
        self._draft = Draft()
        self._pending = PendingWrite(
            self._channel, may_native=options.native and slack.may_stream(self._channel)
        )
        self._leftovers: list[str] = []
        self._inherited: dict[str, Any] | None = None
        self._status = ThinkingStatus(
            slack, self._channel, self._thread, taken_up=answer.attempt > 1
        )
        self._result: AnswerResult | None = None
        self._written = False
        self._plain = 0
        self._leaving = False
        self._given_back = False
        self._over = False
        self._failing_since: float | None = None
        self._doubted_at: float | None = None
        self._writer: asyncio.Task[None] | None = None
        self._beside: list[asyncio.Task[Any]] = []

    # -- the sink ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._status.show()
        self._slack.dispatcher.join(self._pending)
        self._writer = asyncio.create_task(self._write(), name=f"answer {self._answer.id}")

    def beside(self, work: Coroutine[Any, Any, Any]) -> None:
        """Something small that goes with the answer and is waited for with it."""
        self._beside.append(asyncio.create_task(work))

    def write(self, text: str) -> None:
        self._written = True
        if self._draft.write(text) and self._pending.since is None:
            self._pending.since = self._slack.dispatcher.now()
            self._slack.dispatcher.wake()

    async def close(self, result: AnswerResult) -> None:
        if not self._written and result.text:
            self.write(result.text)
        self._draft.finish(strings.STOPPED_MARK if result.status is Status.STOPPED else "")
        self._result = result
        self._pending.whole = True
        self._slack.dispatcher.wake()
        assert self._writer is not None
        await asyncio.shield(self._writer)
        await self._status.clear()
        await asyncio.gather(*self._beside, return_exceptions=True)

    async def abandon(self) -> None:
        if self._writer is not None:
            self._given_back = True
            if (
                self._pending.busy and not self._over
            ):  # the next owner must know what this call makes, and meet no other
                await asyncio.wait([self._writer], timeout=self._slack.timing.last_write_timeout)
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        await self._status.leave()

    # -- the writer: the only one that touches this answer's messages ------------------------------------------

    async def _write(self) -> None:
        dispatcher = self._slack.dispatcher
        try:
            await self._take_over()
            while not self._over:
                if self._given_back:
                    return
                self._plan(dispatcher.now())
                await self._attempt(await dispatcher.acquire_write(self._pending))
            await self._look_again()
            await self._remove_leftovers()
            self._control.note_final_messages(self._draft.parts())
        except SlackError as error:
            log.warning(
                "answer_not_shown", chat=self._chat.id, answer=self._answer.id, reason=str(error)
            )
            if isinstance(error, SlackRejected) and self._chat.thread is not None:
                await cannot_write(self._slack, self._chat.thread, self._answer.asker, error.code)
        finally:
            dispatcher.leave(self._pending)

    def _plan(self, now: float) -> None:
        """Says what the next write would be, so that the desk can give the right turn."""
        page, pending = self._draft.page, self._pending
        pending.shown = (
            Shown.NOT if page.ts is None else Shown.NATIVE if page.native else Shown.EDIT
        )
        pending.reuse = page.ts is None and bool(self._leftovers)
        if page.native:
            aged = (
                now - page.opened_at > STREAM_LIFE and self._draft.unsent() and self._result is None
            )
            pending.must_close = self._leaving or aged or self._draft.overflows()

    async def _attempt(self, method: str) -> None:
        since, self._pending.since = self._pending.since, None
        try:
            await self._step(method)
        except SlackError as error:
            self._pending.since = since if since is not None else self._pending.since
            await self._mend(method, error)
            return
        self._failing_since = None
        if since is not None:
            self._slack.shown_after(self._slack.dispatcher.now() - since)
        if self._pending.since is None and self._more_to_show():
            self._pending.since = self._slack.dispatcher.now()

    def _more_to_show(self) -> bool:
        page = self._draft.page
        if self._result is not None:
            return self._draft.unsent() if page.native else bool(page.text)
        return self._draft.overflows() or (page.ts is None and bool(page.text))

    async def _step(self, method: str) -> None:
        page = self._draft.page
        if page.native:
            await (self._stop() if method == STOP else self._append())
        elif method == START:
            await self._start()
        else:
            await self._edit()

    # -- native ------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        page, piece = self._draft.page, self._draft.piece(self._result is not None)
        if not piece.strip():
            self._slack.dispatcher.give_back(START, self._channel)
            return
        answer = await self._slack.call(
            START,
            channel=self._channel,
            thread_ts=self._thread,
            recipient_user_id=self._answer.asker,
            recipient_team_id=self._answer.asker_team or self._chat.team,
            chunks=_chunk(piece),
        )
        page.ts, page.native, page.sent = answer["ts"], True, page.sent + len(piece)
        page.opened_at = self._slack.dispatcher.now()
        self._pending.shown = Shown.NATIVE
        self._status.streaming()
        await self._appeared()

    async def _append(self) -> None:
        page, piece = self._draft.page, self._draft.piece(self._result is not None)
        if not piece:
            self._slack.dispatcher.give_back(APPEND, self._channel)
            return
        await self._slack.call(APPEND, channel=self._channel, ts=page.ts, chunks=_chunk(piece))
        page.sent += len(piece)

    async def _stop(self) -> None:
        """Ends the stream: at the end with footer and buttons, else to go on by edits or in the next message."""
        page = self._draft.page
        if self._leaving:
            await self._slack.call(STOP, channel=self._channel, ts=page.ts)
            self._status.released()
            self._left_stream()
            return
        rest, tail = page.text[page.sent :], ""
        if self._draft.overflows() or self._result is None:
            rest, tail = self._draft.turn_page(self._slack.dispatcher.now())
        final = self._result is not None and not tail
        chunks = {"chunks": _chunk(rest)} if rest else {}
        footer = {"blocks": self._footer()} if final and self._footer() else {}
        await self._slack.call(STOP, channel=self._channel, ts=page.ts, **chunks, **footer)
        self._status.released()
        page.native, page.sent, self._pending.must_close = False, len(page.text), False
        if final:
            self._over = True
        else:
            self._draft.next_page(tail)
            self._pending.shown = Shown.NOT
            await self._record()

    # -- edits -------------------------------------------------------------------------------------------------

    async def _edit(self) -> None:
        page = self._draft.page
        text, tail = self._draft.edit(self._result is not None)
        final = self._result is not None and tail is None
        if not final and (not text.strip() or text == page.shown):
            self._slack.dispatcher.give_back(
                UPDATE if page.ts or self._leftovers else POST, self._channel
            )
            return
        content = self._content(text, final)
        if page.ts is None and self._leftovers:
            page.ts, page.rich = self._leftovers.pop(0), True
            content = self._content(text, final)
            await self._record()
        if page.ts is None:
            answer = await self._slack.call(
                POST,
                channel=self._channel,
                thread_ts=self._thread,
                unfurl_links=False,
                unfurl_media=False,
                **content,
            )
            page.ts = answer["ts"]
            await self._appeared()
        else:
            call = {"channel": self._channel, "ts": page.ts, **content}
            await self._slack.call(UPDATE, **call)
            if self._answer.slack_messages and page.ts == self._answer.slack_messages[-1].ts:
                self._inherited = call
            self._status.covered()
        page.shown = text
        if final:
            self._over = True
        elif tail is not None:
            self._draft.next_page(tail)

    def _content(self, text: str, final: bool) -> dict[str, Any]:
        footer = self._footer() if final else []
        if self._plain >= 2 or not (footer or self._draft.page.rich):
            return {"markdown_text": text or strings.NOTHING_WRITTEN}
        body = blocks.markdown(text) if text.strip() else []
        return {"blocks": [*body, *footer], "text": plain(text, 300) or strings.ANSWER_FALLBACK}

    def _footer(self) -> list[dict[str, Any]]:
        assert self._result is not None
        if self._plain >= 2:
            return []
        return blocks.answer_footer(
            self._answer, self._result, self._options.model, self._options.left, self._plain == 0
        )

    # -- what happened to the answer ---------------------------------------------------------------------------

    async def _appeared(self) -> None:
        self._status.gone()
        await self._record()

    async def _record(self) -> None:
        rest = tuple(MessageRef(ts, streaming=False) for ts in self._leftovers)
        await self._control.record_messages((*self._draft.parts(), *rest))

    # -- failures ----------------------------------------------------------------------------------------------

    async def _mend(self, method: str, error: SlackError) -> None:
        if isinstance(error, RateLimited):
            return
        now = self._slack.dispatcher.now()
        self._failing_since = now if self._failing_since is None else self._failing_since
        if now - self._failing_since > self._slack.timing.write_retry_limit:
            raise error
        if isinstance(error, SlackRejected):
            self._refused(method, error)
        elif isinstance(error, OutcomeUnknown):
            await self._find_out(method)
        elif isinstance(error, ConnectFailed):
            await asyncio.sleep(min(5.0, 0.3 + (now - self._failing_since) / 2))

    def _refused(self, method: str, error: SlackRejected) -> None:
        """Slack said no: find the way that is left, or give up where there is none."""
        self._control.invalidate()  # another writer may have ended the stream, or removed the message
        log.info("slack_refused", method=method, reason=error.code, answer=self._answer.id)
        page = self._draft.page
        if method == START:
            self._slack.no_stream(self._channel, error.code)
            self._pending.may_native = False
            if error.code in FATAL_CODES - {"not_allowed_token_type", "missing_scope"}:
                raise error
        elif error.code in FATAL_CODES:
            raise error
        elif page.native:
            self._leave_stream(error.code)
        elif error.code == "streaming_state_conflict":
            page.native = self._leaving = self._pending.must_close = True
        elif error.code in ("message_not_found", "cant_update_message", "edit_window_closed"):
            if page.ts is not None:  # it may still stand, and must not beside the new one
                self.beside(self._slack.try_call("chat.delete", channel=self._channel, ts=page.ts))
            page.ts, page.shown, page.rich = None, None, False
        elif self._plain < 3:
            self._plain += 1
        else:
            raise error

    def _leave_stream(self, code: str) -> None:
        """The stream takes no more. What stands in it is put right by edits of the same message."""
        if code == "stopped_by_user":
            self._control.stop()
        if code in NOT_STREAMING or code == "stopped_by_user" or self._leaving:
            self._left_stream()
        else:
            self._leaving = self._pending.must_close = True

    def _left_stream(self) -> None:
        self._draft.page.native = self._leaving = self._pending.must_close = (
            self._pending.may_native
        ) = False
        self._draft.page.shown = None
        self._pending.since = self._pending.since or self._slack.dispatcher.now()

    async def _find_out(self, method: str) -> None:
        """The call may have taken effect or not."""
        page = self._draft.page
        if method in (START, POST) and page.ts is None:
            await asyncio.sleep(0.5)
            lost = await self._unrecorded()
            if not lost:
                self._doubted_at = self._slack.dispatcher.now()
            else:
                page.ts, page.rich = lost[-1], False
                page.native = self._leaving = self._pending.must_close = method == START
                await self._record()
        elif page.native:
            self._leave_stream("outcome_unknown")
        else:
            await asyncio.sleep(0.3)

    # -- what an earlier owner left ----------------------------------------------------------------------------

    async def _take_over(self) -> None:
        if self._answer.attempt <= 1:
            return
        if self._answer.taken_over and not (
            self._answer.slack_messages and self._answer.slack_messages[-1].streaming
        ):
            self._doubted_at = (
                self._slack.dispatcher.now()
            )  # the one before may be making a message just now
        known = [part.ts for part in self._answer.slack_messages]
        self._leftovers = list(known)
        lost = await self._unrecorded()
        self._leftovers += lost
        self._pending.may_native = not self._leftovers and self._pending.may_native
        await self._end_streams(
            *(part.ts for part in self._answer.slack_messages if part.streaming), *lost
        )
        self._pending.since = (
            self._slack.dispatcher.now() if self._draft.page.text else self._pending.since
        )

    async def _look_again(self) -> None:
        """What took effect late, after it had been given up or this answer taken over, has to go.

        That is a second message, or the text of the one before in the message that it was editing.
        """
        if self._doubted_at is None:
            return
        await asyncio.sleep(
            max(
                0.0,
                self._doubted_at + self._slack.timing.late_effect - self._slack.dispatcher.now(),
            )
        )
        late = await self._unrecorded()
        await self._end_streams(*late)
        self._leftovers += late
        if self._inherited is not None:
            await self._slack.try_call(UPDATE, **self._inherited)

    async def _end_streams(self, *stamps: str) -> None:
        for ts in stamps:
            with contextlib.suppress(SlackRejected, OutcomeUnknown):
                await self._slack.call_with_retry(STOP, channel=self._channel, ts=ts)

    async def _unrecorded(self) -> list[str]:
        """Messages of ours in this thread, after the question, that no row knows: a call whose answer was lost."""
        after = self._answer.question_ts or self._thread
        mine = {part.ts for part in (*self._draft.parts(), *self._answer.slack_messages)} | set(
            self._leftovers
        )
        try:
            found = await self._slack.own_messages(self._channel, self._thread, after)
        except (SlackRejected, OutcomeUnknown) as error:
            log.warning("thread_not_readable", answer=self._answer.id, reason=str(error))
            return []
        # Without these, another answer's message would be taken for this one's.
        mine |= await until_stored(self._options.others, self._answer.id)
        return [m["ts"] for m in found if m["ts"] not in mine and not blocks.is_service_message(m)]

    async def _remove_leftovers(self) -> None:
        """The new text needed fewer messages than the old one."""
        for ts in self._leftovers:
            await self._slack.try_call("chat.delete", channel=self._channel, ts=ts)
        if self._leftovers:
            self._leftovers = []
            await self._record()


def _chunk(text: str) -> list[dict[str, str]]:
    return [{"type": "markdown_text", "text": text}]
