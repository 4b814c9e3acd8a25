"""Writes the open page of an answer to Slack: one call at a time, with the method that the scheduler has granted.

What a call or its failure means for the page is a `PageEvent`; the states are drawn in `page`.
"""

from __future__ import annotations

import asyncio
from functools import partial

from bot.answers.sink import AnswerControl
from bot.domain import Answer, AnswerResult, Chat, MessageRef, Thread
from bot.domain.chores import Chore
from bot.observability import get_logger
from handlers.answers.draft import Draft
from handlers.answers.message_recovery import MessageRecovery
from handlers.answers.options import AnswerOptions
from handlers.answers.page import TO_BE_CLOSED, VISIBILITY, PageEvent, PageState
from handlers.answers.page_calls import PageCalls
from handlers.answers.rendering import AnswerRenderer, stream_chunks
from handlers.answers.step_cards import Chunk, StepCards
from handlers.answers.thinking_status import ThinkingStatus
from handlers.client.errors import (
    CARD_REFUSALS,
    FATAL_CODES,
    MESSAGE_LOST_CODES,
    START_ONLY_CODES,
    STOPPED_BY_PERSON,
    STREAM_ENDED_CODES,
    SlackRejected,
)
from handlers.client.post_once import post_once
from handlers.client.web_api import SlackClient
from handlers.rate_limits.pending_write import PendingWrite, Visibility
from handlers.rate_limits.slack_rates import APPEND, START, STOP

log = get_logger(__name__)

_UNKNOWN_EDIT_DELAY = 0.3
"""Seconds before an edit with an unknown outcome is repeated, which is harmless."""


class PageWriter:
    """Brings one answer's draft into Slack messages, page after page."""

    def __init__(
        self,
        slack: SlackClient,
        chat: Chat,
        thread: Thread,
        answer: Answer,
        control: AnswerControl,
        options: AnswerOptions,
        status: ThinkingStatus,
    ) -> None:
        self._slack = slack
        self._calls = PageCalls(slack, chat, thread, answer)
        self._thread = thread
        self._answer = answer
        self._control = control
        self._status = status
        self._renderer = AnswerRenderer(answer, options)
        self.draft = Draft()
        self.cards = StepCards(slack.takes_task_cards())
        self._recovery = MessageRecovery(slack, thread, answer, options, self.draft)
        self.pending = PendingWrite(
            thread.channel,
            may_stream=options.native_streaming and slack.can_stream(thread.channel),
        )
        """What the scheduler knows of this answer."""
        self.result: AnswerResult | None = None
        """Set once the model has ended: from then on a write is final."""

    @property
    def is_complete(self) -> bool:
        """Whether all of the answer is visible, with its footer."""
        return self.draft.page.state is PageState.COMPLETE

    def more_to_show(self) -> bool:
        """Whether there is text that another write could make visible now."""
        draft, page = self.draft, self.draft.page
        if self.result is not None:
            return draft.has_unstreamed_text() if page.is_stream else bool(page.text)
        return draft.overflows() or (page.state is PageState.NOT_POSTED and bool(page.text))

    async def take_over(self) -> None:
        """Continues what earlier attempts at this answer left in the thread."""
        await self._recovery.take_over()
        if self._recovery.has_leftovers:
            self.pending.may_stream = False
        if self.draft.page.text:
            self.text_arrived(self._slack.dispatcher.now())

    def all_messages(self) -> tuple[MessageRef, ...]:
        """The messages written so far, and those still to be rewritten or deleted."""
        return (*self.draft.message_refs(), *self._recovery.recorded())

    def final_messages(self) -> tuple[MessageRef, ...]:
        """The messages of the complete answer, and those to be deleted."""
        return (*self.draft.message_refs(), *self._recovery.final())

    def chores(self) -> dict[Chore, float]:
        """What is left to do in the thread once the answer is complete."""
        return self._recovery.chores()

    def plan(self, now: float) -> None:
        """Updates what the scheduler knows about the next write."""
        if self.draft.page.state is PageState.NOT_POSTED and self._recovery.next_is_stream:
            self._take_leftover()
        page = self.draft.page
        self.pending.visibility = VISIBILITY[page.state]
        self.pending.reuses_message = (
            page.state is PageState.NOT_POSTED and self._recovery.has_leftovers
        )
        self._plan_end(now)

    def pause(self, now: float) -> None:
        """Nothing more comes for now: an open stream ends, because it would look as if more were coming."""
        if self.draft.page.state is PageState.STREAMING:
            self._apply(PageEvent.PAUSED)
            self.text_arrived(now)

    def text_arrived(self, now: float) -> None:
        """There is text that is not visible. A stream may have become too old for it since the last plan."""
        self.pending.text_arrived(now)
        self._plan_end(now)

    def _plan_end(self, now: float) -> None:
        state = self.draft.page.state
        self.pending.must_close = state in TO_BE_CLOSED or (
            state is PageState.STREAMING and self._stream_must_end(now)
        )

    def _stream_must_end(self, now: float) -> bool:
        age = now - self.draft.page.stream_started_at
        too_old = age > self._slack.timing.max_stream_age
        outlived = too_old and self.result is None and self.draft.has_unstreamed_text()
        return outlived or self.draft.overflows()

    async def write(self, method: str) -> bool:
        """Makes one call with `method`. Returns whether the text that waited for it is visible now.

        Raises SlackError's subclasses; then `on_rejected` or `on_unknown_outcome` moves the page on.
        """
        if self.draft.page.state in TO_BE_CLOSED:
            await self._close_stream()
        elif self.draft.page.state is PageState.STREAMING:
            await (self._end_stream() if method == STOP else self._append_to_stream())
        elif method == START:
            return await self._start_stream()
        else:
            return await self._post_or_edit(method)
        return True

    # -- native streams ----------------------------------------------------------------------------------------

    async def _start_stream(self) -> bool:
        chunk = self.draft.next_chunk(self.result is not None)
        if not chunk.strip():
            self._calls.refund(START)
            return True
        cards = self._next_cards()
        self._status.message_being_posted()
        posted = await post_once(
            partial(self._calls.start_stream, stream_chunks(chunk, cards)),
            self._recovery.find_lost_message,
            retry_limit=0.0,
        )
        page = self.draft.page
        if posted.found:
            self._apply(PageEvent.STREAM_FOUND, posted.ts)
            await self._record_messages()
            return False
        self._apply(PageEvent.STREAM_STARTED, posted.ts)
        self.cards.sent()
        page.streamed += len(chunk)
        page.stream_started_at = self._slack.dispatcher.now()
        self._status.stream_started()
        await self._on_posted()
        return True

    async def _append_to_stream(self) -> None:
        page, chunk = self.draft.page, self.draft.next_chunk(self.result is not None)
        if not chunk:
            self._calls.refund(APPEND)
            return
        await self._calls.append(page.ts, stream_chunks(chunk, self._next_cards()))
        self.cards.sent()
        page.streamed += len(chunk)

    async def _end_stream(self) -> None:
        """Ends the stream with the rest of its text, and with the footer if the answer ends there too."""
        page = self.draft.page
        rest, tail = page.text[page.streamed :], ""
        if self.draft.overflows() or self.result is None:
            rest, tail = self.draft.split_stream()
        final = self.result if not tail else None
        chunks = stream_chunks(rest, self._next_cards())
        footer = (
            self._renderer.footer(final, self.cards.without_card()) if final is not None else []
        )
        await self._calls.stop_stream(page.ts, chunks, footer)
        self._status.stream_stopped()
        self.cards.sent()
        self.cards.stream_ended()
        page.streamed = len(page.text)
        self._apply(PageEvent.COMPLETED)
        if final is None:
            self._open_next_page(tail)
            await self._record_messages()

    def _next_cards(self) -> list[Chunk]:
        """The cards that are sent before the next text of the stream."""
        cards = self.cards.next_chunks(self.draft.room())
        self.draft.page.card_bytes = self.cards.bytes
        return cards

    async def _close_stream(self) -> None:
        """Ends a stream that accepted no more text, or has to wait; edits complete its message."""
        page = self.draft.page
        is_paused = page.state is PageState.PAUSING
        await self._calls.stop_stream(page.ts)
        self._status.stream_stopped()
        self._apply(PageEvent.STREAM_ENDED)
        if is_paused:
            if page.streamed == len(page.text):  # no edit has anything to add
                page.edited_text, self.pending.waiting_since = page.text, None
            await self._record_messages()

    # -- posts and edits ---------------------------------------------------------------------------------------

    async def _post_or_edit(self, method: str) -> bool:
        page = self.draft.page
        self.cards.stream_broken()
        text, tail = self.draft.split_edit(self.result is not None)
        final = self.result if tail is None else None
        if final is None and (not text.strip() or text == page.edited_text):
            self._calls.refund(method)
            return True
        if page.state is PageState.NOT_POSTED and self._recovery.has_leftovers:
            self._take_leftover()
            await self._record_messages()
        if page.state is PageState.NOT_POSTED:
            found = await self._post(text, final)
            if found:
                return False
        else:
            await self._edit(text, final)
        page.edited_text = text
        if final is not None:
            self._apply(PageEvent.COMPLETED)
        elif tail is not None:
            self._apply(PageEvent.COMPLETED)
            self._open_next_page(tail)
        return True

    def _take_leftover(self) -> None:
        leftover = self._recovery.take_leftover()
        event = PageEvent.STREAM_FOUND if leftover.streaming else PageEvent.POSTED
        self._apply(event, leftover.ts)
        self.draft.page.has_blocks = True

    async def _post(self, text: str, final: AnswerResult | None) -> bool:
        """Posts the page. Returns whether an earlier attempt's message was found instead."""
        content = self._renderer.content(
            text, final, has_blocks=False, steps=self.cards.without_card()
        )
        self._status.message_being_posted()
        posted = await post_once(
            partial(self._calls.post, content), self._recovery.find_lost_message, retry_limit=0.0
        )
        self._apply(PageEvent.POSTED, posted.ts)
        if posted.found:
            await self._record_messages()
        else:
            await self._on_posted()
        return posted.found

    async def _edit(self, text: str, final: AnswerResult | None) -> None:
        page = self.draft.page
        content = self._renderer.content(
            text, final, has_blocks=page.has_blocks, steps=self.cards.without_card()
        )
        await self._calls.edit(page.ts, content)
        self._status.message_edited()

    # -- failures ----------------------------------------------------------------------------------------------

    def on_rejected(self, method: str, error: SlackRejected) -> None:
        """Chooses another way of writing after a rejection; raises `error` if there is none."""
        self._control.invalidate()  # another writer may have ended the stream, or removed the message
        log.info("slack_refused", method=method, reason=error.code, answer=self._answer.id)
        state = self.draft.page.state
        if self.cards.on_their_way and error.code in CARD_REFUSALS:
            self._on_cards_rejected()
        elif method == START:
            self._on_start_rejected(error)
        elif error.code in FATAL_CODES:
            raise error
        elif self.draft.page.is_stream:
            self._on_stream_rejected(error.code)
        elif error.code == "streaming_state_conflict" and state is PageState.EDITABLE:
            self._apply(PageEvent.STILL_STREAMING)
        elif error.code in MESSAGE_LOST_CODES:
            self._on_message_lost()
        else:
            self._simplify(error)

    def _simplify(self, error: SlackRejected) -> None:
        if error.code == "no_text" and self._renderer.was_text_alone:
            self._slack.disable_markdown_text()
        if not self._renderer.simplify():
            raise error

    async def on_unknown_outcome(self) -> None:
        """A call may have taken effect or not; for a new message, a search has just found none."""
        if self.draft.page.state is PageState.NOT_POSTED:
            self._recovery.note_unknown_outcome()
        elif self.draft.page.is_stream:
            self._apply(PageEvent.STREAM_FAILED)
        else:
            await asyncio.sleep(_UNKNOWN_EDIT_DELAY)

    def _on_message_lost(self) -> None:
        ts = self.draft.page.ts
        if ts is not None:  # if it exists after all, it must not stay beside the new one
            self._recovery.discard(ts)
        self._apply(PageEvent.MESSAGE_LOST)

    def _on_cards_rejected(self) -> None:
        """The same text is sent again without the cards."""
        self._slack.disable_task_cards()
        self.cards.refused()

    def _on_start_rejected(self, error: SlackRejected) -> None:
        self._slack.disable_streaming(self._thread.channel, error.code)
        self.pending.may_stream = False
        if error.code in FATAL_CODES - START_ONLY_CODES:
            raise error

    def _on_stream_rejected(self, code: str) -> None:
        if code == STOPPED_BY_PERSON:
            self._control.stop()
        ended = code in STREAM_ENDED_CODES
        self._apply(PageEvent.STREAM_ENDED if ended else PageEvent.STREAM_FAILED)

    # -- transitions -------------------------------------------------------------------------------------------

    def _apply(self, event: PageEvent, ts: str | None = None) -> None:
        """Moves the open page to its next state, and updates the scheduler's view of the answer."""
        page = self.draft.page
        was_stream = page.is_stream
        page.apply(event, ts)
        self.pending.visibility = VISIBILITY.get(page.state, self.pending.visibility)
        if was_stream and page.state is PageState.EDITABLE:
            # The stream broke off: edits will add the missing text, and the rest of the answer.
            page.has_blocks = page.has_blocks or self.cards.in_stream
            self.cards.stream_broken()
            self.pending.may_stream = False
            self.pending.waiting_since = self.pending.waiting_since or self._slack.dispatcher.now()

    def _open_next_page(self, tail: str) -> None:
        self.draft.open_next_page(tail)
        self.pending.visibility, self.pending.continues = Visibility.HIDDEN, True

    async def _on_posted(self) -> None:
        self._status.message_posted()
        await self._record_messages()

    async def _record_messages(self) -> None:
        """Records which messages show the answer, so that a later worker finds them."""
        await self._control.record_messages(self.all_messages())
