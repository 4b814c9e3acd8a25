"""One Slack message of an answer, and the states that it passes through. Pure.

                 STREAM_STARTED                  COMPLETED
    NOT_POSTED ──────────────────▶ STREAMING ───────────────────▶ COMPLETE
     │ │    ▲                       │     │                          ▲
     │ │    │         STREAM_FAILED │     │ STREAM_ENDED             │
     │ │    │                       ▼     │                          │
     │ └─── │ ─ STREAM_FOUND ──▶ CLOSING  │                          │
     │      │                     │   ▲   │                          │
     │      │       STREAM_FAILED │   │   │                          │
     │      │     or STREAM_ENDED │   │ STILL_STREAMING              │
     │      │                     ▼   │   ▼                          │
     │      └─ MESSAGE_LOST ────── EDITABLE ──────── COMPLETED ──────┘
     └──────── POSTED ────────────▶

    STREAMING ── PAUSED ──▶ PAUSING ── STREAM_FAILED or STREAM_ENDED ──▶ EDITABLE
    NOT_POSTED ── MESSAGE_LOST ──▶ NOT_POSTED

A page in `CLOSING` is a stream that takes no more text: it is ended by `chat.stopStream`, and then its message is
completed by edits. If that call fails too, an edit shows whether Slack has ended the stream or it is still open. A page
in `PAUSING` is a stream that is ended likewise, because its answer waits for a decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from handlers.rate_limits.pending_write import Visibility


class PageState(Enum):
    """What can be done with the message next."""

    NOT_POSTED = auto()
    """No message is known: start a stream, post one, or rewrite one that an earlier attempt left."""
    STREAMING = auto()
    """A native stream is open: append to it, or end it with the rest of the text."""
    CLOSING = auto()
    """A native stream that takes no more text: end it without any."""
    PAUSING = auto()
    """A native stream to which nothing more comes for now: end it, because it would look as if more were coming."""
    EDITABLE = auto()
    """An ordinary message: edit it."""
    COMPLETE = auto()
    """All the text of this page is visible; nothing more is written to it."""


VISIBILITY = {
    PageState.NOT_POSTED: Visibility.HIDDEN,
    PageState.STREAMING: Visibility.NATIVE,
    PageState.CLOSING: Visibility.NATIVE,
    PageState.PAUSING: Visibility.NATIVE,
    PageState.EDITABLE: Visibility.EDITED,
}
"""What the scheduler counts a page as, as long as it is not complete."""


TO_BE_CLOSED = frozenset({PageState.CLOSING, PageState.PAUSING})
"""The states in which the message is a stream that is to be ended without any text."""
OPEN_STREAMS = TO_BE_CLOSED | {PageState.STREAMING}


class PageEvent(Enum):
    """What has become known about the message."""

    STREAM_STARTED = auto()
    STREAM_FOUND = auto()
    """A `chat.startStream` whose outcome was unknown had taken effect."""
    STREAM_FAILED = auto()
    """A call to the stream was refused, or its outcome is unknown."""
    STREAM_ENDED = auto()
    """Slack, a user or the bot ended the stream before its text was complete."""
    PAUSED = auto()
    """Nothing more comes for now."""
    STILL_STREAMING = auto()
    """Slack refused an edit because the message is an open stream."""
    POSTED = auto()
    """A message was posted, found after an unknown outcome, or taken over from an earlier attempt."""
    MESSAGE_LOST = auto()
    """The message was deleted or can't be edited any more."""
    COMPLETED = auto()


_TRANSITIONS: dict[tuple[PageState, PageEvent], PageState] = {
    (PageState.NOT_POSTED, PageEvent.STREAM_STARTED): PageState.STREAMING,
    (PageState.NOT_POSTED, PageEvent.STREAM_FOUND): PageState.CLOSING,
    (PageState.NOT_POSTED, PageEvent.POSTED): PageState.EDITABLE,
    (PageState.NOT_POSTED, PageEvent.MESSAGE_LOST): PageState.NOT_POSTED,
    (PageState.STREAMING, PageEvent.STREAM_FAILED): PageState.CLOSING,
    (PageState.STREAMING, PageEvent.STREAM_ENDED): PageState.EDITABLE,
    (PageState.STREAMING, PageEvent.COMPLETED): PageState.COMPLETE,
    (PageState.STREAMING, PageEvent.PAUSED): PageState.PAUSING,
    (PageState.PAUSING, PageEvent.STREAM_FAILED): PageState.EDITABLE,
    (PageState.PAUSING, PageEvent.STREAM_ENDED): PageState.EDITABLE,
    (PageState.CLOSING, PageEvent.STREAM_FAILED): PageState.EDITABLE,
    (PageState.CLOSING, PageEvent.STREAM_ENDED): PageState.EDITABLE,
    (PageState.EDITABLE, PageEvent.STILL_STREAMING): PageState.CLOSING,
    (PageState.EDITABLE, PageEvent.MESSAGE_LOST): PageState.NOT_POSTED,
    (PageState.EDITABLE, PageEvent.COMPLETED): PageState.COMPLETE,
}


def next_state(state: PageState, event: PageEvent) -> PageState:
    """The state after `event`. Raises ValueError for an event that can't happen in `state`."""
    try:
        return _TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"{event.name} cannot happen in {state.name}") from None


@dataclass(slots=True)
class Page:
    """The text of one Slack message, the part of it that Slack has, and the state of the message."""

    text: str = ""
    """Everything that belongs in this message or a later one."""
    state: PageState = PageState.NOT_POSTED
    ts: str | None = None
    """None exactly while the state is `NOT_POSTED`."""
    streamed: int = 0
    """Characters of `text` that are known to be in the native stream."""
    stream_started_at: float = 0.0
    """Seconds of the dispatcher's clock."""
    card_bytes: int = 0
    """UTF-8 bytes of the message that the stream's task cards take."""
    edited_text: str | None = None
    """The text of the last edit; None if it is unknown what the message shows."""
    has_blocks: bool = False
    """The message may carry blocks, which an edit without blocks would leave in place."""

    @property
    def is_stream(self) -> bool:
        """Whether the message is an open native stream, as far as is known."""
        return self.state in OPEN_STREAMS

    def apply(self, event: PageEvent, ts: str | None = None) -> None:
        """Moves to the next state; `ts` is the message's, for events that provide one."""
        was_stream = self.is_stream
        self.state = next_state(self.state, event)
        if ts is not None:
            self.ts = ts
        if self.state is PageState.NOT_POSTED:
            self.ts = None
            self.has_blocks = False
        if self.state is PageState.NOT_POSTED or was_stream:
            self.edited_text = None
        if not self.is_stream:
            self.card_bytes = 0
