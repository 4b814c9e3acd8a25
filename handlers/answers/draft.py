"""The text of one answer, divided into pages: what the model has sent, what Slack shows, and what is next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.domain import MessageRef
from handlers.answers.page import Page
from handlers.markdown.grammar import byte_length, closing_fence
from handlers.markdown.mention_guard import MentionGuard
from handlers.markdown.preview import renderable, unstable_suffix
from handlers.markdown.splitter import split
from handlers.markdown.table_breaks import TableBreaks

MAX_PAGE_BYTES = 9_800
"""UTF-8 bytes of text in one message. Slack does not document its limit for streamed messages; reports say 10,600 to
12,000."""


@dataclass(slots=True)
class Draft:
    """The answer so far. `page` is the one being written; the pages before it are complete."""

    page: Page = field(default_factory=Page)
    completed: list[MessageRef] = field(default_factory=list)
    """The messages of the complete pages."""
    received_any: bool = False
    """Whether the model has sent anything, even if none of it could be shown yet."""
    _guard: MentionGuard = field(default_factory=MentionGuard)
    _tables: TableBreaks = field(default_factory=TableBreaks)
    _buffer: list[str] = field(default_factory=list)
    _split_length: int = 0
    """Characters that the open page had when it was last split: more text may arrive during the call that follows."""

    def append(self, delta: str) -> bool:
        """Adds text from the model. Returns whether more text can be shown now."""
        self.received_any = True
        safe = self._tables.feed(self._guard.feed(delta))
        if safe:
            self._buffer.append(safe)
        return bool(safe)

    def finish(self, closing_line: str = "") -> None:
        """Ends the text; `closing_line` is the bot's own and becomes a paragraph below the model's text."""
        self._buffer.append(self._tables.feed(self._guard.finish()) + self._tables.finish())
        self._flush_buffer()
        if closing_line:
            text = self.page.text
            self.page.text = (
                f"{text}{closing_fence(text)}\n\n{closing_line}" if text else closing_line
            )

    def message_refs(self) -> tuple[MessageRef, ...]:
        """The Slack messages that show this answer, in order."""
        page = self.page
        return (*self.completed, *((MessageRef(page.ts, page.is_stream),) if page.ts else ()))

    def room(self) -> int:
        """UTF-8 bytes for which the open page still has room."""
        self._flush_buffer()
        return self._max_bytes() - byte_length(self.page.text)

    def overflows(self) -> bool:
        """Whether the text no longer fits into the open page."""
        return self.room() < 0

    def _max_bytes(self) -> int:
        return MAX_PAGE_BYTES - self.page.card_bytes

    def has_unstreamed_text(self) -> bool:
        """Whether the open page has text that is not in its native stream yet."""
        self._flush_buffer()
        return len(self.page.text) > self.page.streamed

    def next_chunk(self, whole: bool) -> str:
        """The text to append to the stream now: no more than fits the page, and nothing that may still change.

        `whole`: the answer has ended, so its text is final.
        """
        self._flush_buffer()
        page = self.page
        if byte_length(page.text) > self._max_bytes():
            return page.text[
                page.streamed : split(page.text, self._max_bytes(), at_least=page.streamed).at
            ]
        if whole:
            return page.text[page.streamed :]
        stable = max(page.streamed, len(page.text) - unstable_suffix(page.text))
        return page.text[page.streamed : stable]

    def split_stream(self) -> tuple[str, str]:
        """Splits the open page for the end of its stream: the text still to be sent to it, and the next page's text.

        Call `open_next_page` with the latter once Slack has confirmed the former.
        """
        self._flush_buffer()
        page = self.page
        self._split_length = len(page.text)
        size = byte_length(page.text)
        limit = self._max_bytes() if size > self._max_bytes() else max(1, size - 1)
        cut = split(page.text, limit, at_least=page.streamed)
        if not cut.tail.strip():
            return page.text[page.streamed :], ""
        return cut.head[page.streamed :], cut.tail

    def split_edit(self, whole: bool) -> tuple[str, str | None]:
        """The text for an edit of the open page, and the next page's text (None: everything fits into this one).

        `whole`: the answer has ended, so nothing is held back.
        """
        self._flush_buffer()
        text = self.page.text
        self._split_length = len(text)
        if byte_length(text) > self._max_bytes():
            cut = split(text, self._max_bytes())
            return cut.head, cut.tail
        return (text if whole else renderable(text)), None

    def open_next_page(self, tail: str) -> None:
        """The open page is complete; the next one begins with `tail` and what has arrived since the split."""
        self._flush_buffer()
        page = self.page
        if page.ts:
            self.completed.append(MessageRef(page.ts, streaming=False))
        self.page = Page(text=tail + page.text[self._split_length :])

    def _flush_buffer(self) -> None:
        if self._buffer:
            self.page.text += "".join(self._buffer)
            self._buffer.clear()
