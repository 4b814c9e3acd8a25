"""The text of one answer on its way into Slack messages: what is written, what stands, what comes next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.domain import MessageRef
from handlers.markdown.grammar import bytes_len, needs_closing
from handlers.markdown.mention_guard import MentionGuard
from handlers.markdown.preview import renderable, unstable_suffix
from handlers.markdown.splitter import split

PART_BYTES = 9_800
"""UTF-8 bytes that one message may hold. Slack's own cap on a streamed message is not documented; reports say 10,600
to 12,000."""
STREAM_LIFE = 235.0
"""Seconds after which a stream is ended and continued in the next message: Slack ends it by force at five minutes."""


@dataclass(slots=True)
class Page:
    """One Slack message of the answer."""

    text: str = ""
    """Everything that belongs into it or after it."""
    sent: int = 0
    """How much of `text` is known to stand in the native stream."""
    ts: str | None = None
    native: bool = False
    """Open as a native stream."""
    opened_at: float = 0.0
    shown: str | None = None
    """The last text that an edit put there."""
    rich: bool = False
    """It carries blocks, so a plain edit would leave them standing."""


@dataclass(slots=True)
class Draft:
    """The answer so far, cut into pages. `pages` are closed, `page` is the one being written."""

    page: Page = field(default_factory=Page)
    closed: list[MessageRef] = field(default_factory=list)
    _guard: MentionGuard = field(default_factory=MentionGuard)
    _fresh: list[str] = field(default_factory=list)
    _known: int = 0
    """How much text the open page had when it was looked at for cutting: more may come while Slack is being told."""

    def write(self, text: str) -> bool:
        """Takes text of the model's. Says whether there is now something that could be shown."""
        safe = self._guard.feed(text)
        if safe:
            self._fresh.append(safe)
        return bool(safe)

    def finish(self, last_words: str = "") -> None:
        """The model has ended; `last_words` are our own."""
        self._fresh.append(self._guard.finish())
        self._settle()
        if last_words:
            text = self.page.text
            self.page.text = f"{text}{needs_closing(text)}\n\n{last_words}" if text else last_words

    def parts(self) -> tuple[MessageRef, ...]:
        """The Slack messages that show this answer."""
        page = self.page
        return (*self.closed, *((MessageRef(page.ts, page.native),) if page.ts else ()))

    def overflows(self) -> bool:
        self._settle()
        return bytes_len(self.page.text) > PART_BYTES

    def unsent(self) -> bool:
        """Whether the open stream lacks anything."""
        self._settle()
        return len(self.page.text) > self.page.sent

    def piece(self, whole: bool) -> str:
        """What to append to the stream now: never more than the page may hold, nothing that may still change."""
        self._settle()
        page = self.page
        if bytes_len(page.text) > PART_BYTES:
            return page.text[page.sent : split(page.text, PART_BYTES, at_least=page.sent).at]
        end = (
            len(page.text) if whole else max(page.sent, len(page.text) - unstable_suffix(page.text))
        )
        return page.text[page.sent : end]

    def turn_page(self, now: float) -> tuple[str, str]:
        """Cuts the open page: the rest of its text that still has to be sent, and all the text that it then holds.

        The next page begins with the remaining text; call `next_page` once Slack has confirmed the first.
        """
        self._settle()
        page = self.page
        self._known = len(page.text)
        limit = (
            PART_BYTES if bytes_len(page.text) > PART_BYTES else max(1, bytes_len(page.text) - 1)
        )
        parted = split(page.text, limit, at_least=page.sent)
        if not parted.tail.strip():
            return page.text[page.sent :], ""
        return parted.head[page.sent :], parted.tail

    def next_page(self, tail: str) -> None:
        """The open page is full and stands; go on with `tail`, and with what has come since that was cut off."""
        self._settle()
        page = self.page
        if page.ts:
            self.closed.append(MessageRef(page.ts, streaming=False))
        self.page = Page(text=tail + page.text[self._known :])

    def edit(self, whole: bool) -> tuple[str, str | None]:
        """The text for an edit of the open page, and what must go into a next one (None: nothing yet)."""
        self._settle()
        text = self.page.text
        self._known = len(text)
        if bytes_len(text) > PART_BYTES:
            parted = split(text, PART_BYTES)
            return parted.head, parted.tail
        return (text if whole else renderable(text)), None

    def _settle(self) -> None:
        if self._fresh:
            self.page.text += "".join(self._fresh)
            self._fresh.clear()
