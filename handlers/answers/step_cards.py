"""Shows the ended steps of an answer in its messages: as task cards in native streams, else as a line. Pure.

A card is sent along with the next text, before it, never in a separate call. A message that is edited after its stream
loses its cards, so their steps are in the line below the answer instead: each step is shown, and only once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bot.chats.step_texts import step_title
from bot.domain.steps import Step, StepStatus
from handlers.markdown.grammar import byte_length
from handlers.markdown.mention_guard import guarded
from handlers.markdown.plain_text import plain

Chunk = dict[str, Any]

MAX_CARD_TEXT = 256
"""Characters of one string of a chunk. Slack appends the `details` of chunks with the same id."""
MAX_CARDS_OF_PAGE = 20
"""Slack allows fifty blocks in a message, cards among them."""
MAX_CARD_BYTES_OF_PAGE = 3_000
"""UTF-8 bytes for the cards of one message, subtracted from its text, because it is not known whether Slack counts
them.
"""


@dataclass(slots=True)
class StepCards:
    """The steps of one answer, and which of them are cards."""

    enabled: bool = True
    """Slack has not refused them."""
    _ended: dict[int, Step] = field(default_factory=dict)
    _sent: set[int] = field(default_factory=set)
    """Cards of the open stream."""
    _sending: set[int] = field(default_factory=set)
    """Cards of the call in progress."""
    _kept: set[int] = field(default_factory=set)
    """Cards of streams that ended well."""
    _sent_bytes: int = 0
    _sending_bytes: int = 0

    def step(self, step: Step) -> None:
        """A step has changed."""
        if step.status.ended:
            self._ended[step.number] = step

    def next_chunks(self, room: int) -> list[Chunk]:
        """The cards that the open stream lacks, as far as they fit. To be followed by `sent` or `refused`.

        `room`: UTF-8 bytes for which the message still has room.
        """
        chunks: list[Chunk] = []
        self._forget_call()
        for step in self._uncarded():
            card = _card(step)
            size = sum(byte_length(text) for chunk in card for text in chunk.values())
            full = len(self._sent) + len(self._sending) >= MAX_CARDS_OF_PAGE
            if full or size > min(room, MAX_CARD_BYTES_OF_PAGE - self.bytes):
                break
            chunks += card
            room -= size
            self._sending_bytes += size
            self._sending.add(step.number)
        return chunks

    @property
    def on_their_way(self) -> bool:
        """Whether the call in progress has cards."""
        return bool(self._sending)

    @property
    def in_stream(self) -> bool:
        """Whether the open stream has cards."""
        return bool(self._sent)

    @property
    def bytes(self) -> int:
        """The bytes that cards take in the open stream's message, including those being sent."""
        return self._sent_bytes + self._sending_bytes

    def sent(self) -> None:
        """Slack has accepted the call in progress."""
        self._sent |= self._sending
        self._sent_bytes += self._sending_bytes
        self._forget_call()

    def refused(self) -> None:
        """Slack rejects cards."""
        self.enabled = False
        self._forget_call()

    def stream_broken(self) -> None:
        """The message is now an edited one, or does not exist."""
        self._sent.clear()
        self._sent_bytes = 0
        self._forget_call()

    def stream_ended(self) -> None:
        """The message stays as it is."""
        self._kept |= self._sent
        self.stream_broken()

    def without_card(self) -> list[Step]:
        """The ended steps that no card shows, in order, assuming that the call in progress succeeds."""
        shown = self._kept | self._sent | self._sending
        return [step for number, step in sorted(self._ended.items()) if number not in shown]

    def _forget_call(self) -> None:
        self._sending.clear()
        self._sending_bytes = 0

    def _uncarded(self) -> list[Step]:
        return self.without_card() if self.enabled else []


def _card(step: Step) -> list[Chunk]:
    """The chunks of one card: the first names it, further ones add to its expanded detail."""
    failed = step.status in (StepStatus.FAILED, StepStatus.DENIED, StepStatus.UNKNOWN)
    head: Chunk = {
        "type": "task_update",
        "id": f"step-{step.number}",
        "title": plain(step_title(step), MAX_CARD_TEXT),
        "status": "error" if failed else "complete",
    }
    details = guarded(step.detail)
    pieces = [details[at : at + MAX_CARD_TEXT] for at in range(0, len(details), MAX_CARD_TEXT)]
    return [head | ({"details": pieces[0]} if pieces else {})] + [
        {**head, "details": piece} for piece in pieces[1:]
    ]
