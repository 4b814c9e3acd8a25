"""The pictures that tools return, prepared for a model that can see them."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from bot.answers.pictures import FitPicture
from bot.answers.running_answer import RunningAnswer
from bot.domain import Chat, Image
from bot.domain.tool_calls import CallResult, ToolRound
from bot.errors import FileProblem
from bot.observability import get_logger
from bot.providers.base import ChatMessage
from bot.runtime.memory import MemoryReservation
from storage.statements.images import ImageBudget, first_kept

log = get_logger(__name__)

BUDGET = ImageBudget(count=8, size=8_000_000)
"""The newest pictures of an answer's calls, which are sent with each request; older ones are replaced by a note."""
BUDGET_OF_CALL = ImageBudget(count=4, size=4_000_000)
"""The pictures of one call, which are sent with the next request however many pictures the chat has."""
TOO_LARGE = "left out: the pictures of this call are too large together"
UNREADABLE = "cannot be shown: it is no PNG, JPEG, GIF or WebP that can be read"

Taken = tuple[str, Sequence[Image]]
"""A result's text for the model, and its pictures."""


class ToolPictures:
    """Checks pictures in results, reduces them, and chooses which of them go with a request."""

    def __init__(
        self, fit: FitPicture, sees: Callable[[Chat], bool], whole: ImageBudget = BUDGET
    ) -> None:
        """`sees`: whether a chat's model accepts images. `whole`: the budget for all images of a request, including the
        chat's.
        """
        self._whole = whole
        self._fit = fit
        self._sees = sees

    def are_wanted(self, chat: Chat, run: RunningAnswer) -> bool:
        """Whether the answer's model is to be shown pictures."""
        return run.reservation is not None and self._sees(chat)

    def sent(
        self, chat: Chat, rounds: Sequence[ToolRound], messages: Sequence[ChatMessage]
    ) -> tuple[ToolRound, ...]:
        """The turns as they are sent: with the newest pictures for which the chat's `messages` leave room."""
        sizes = [[picture.size for picture in call] for turn in rounds for call in turn.pictures]
        left_out = len(sizes)
        if self._sees(chat):
            left_out = first_kept(sizes, self._room_beside(messages))
        made = []
        for turn in rounds:
            made.append(turn.without_pictures(left_out))
            left_out = max(0, left_out - len(turn.pictures))
        return tuple(made)

    def _room_beside(self, messages: Sequence[ChatMessage]) -> ImageBudget:
        """The room for pictures from calls: what the chat's own pictures leave, but at least enough for one call."""
        shown = [image.size for message in messages for image in message.images]
        return ImageBudget(
            max(BUDGET_OF_CALL.count, min(BUDGET.count, self._whole.count - len(shown))),
            max(BUDGET_OF_CALL.size, min(BUDGET.size, self._whole.size - sum(shown))),
        )

    @asynccontextmanager
    async def taken(self, result: CallResult, run: RunningAnswer) -> AsyncIterator[Taken]:
        """A result's text, and its pictures, whose memory is held until the end of the block."""
        if not result.pictures or run.reservation is None:
            yield result.text, ()
            return
        part = run.reservation.part()
        try:
            await part.add(sum(len(data) for data in result.pictures) * 2)  # encoded and decoded
            images = [
                await self._fitted(data, f"Picture {number}", part)
                for number, data in enumerate(result.pictures, 1)
            ]
            yield _chosen(result.text, images)
        finally:
            part.settle(0)

    async def _fitted(
        self, encoded: str, name: str, reservation: MemoryReservation
    ) -> Image | None:
        try:
            data = await asyncio.to_thread(base64.b64decode, encoded)
            return await self._fit(data, name, reservation)
        except (FileProblem, binascii.Error, ValueError):
            log.info("tool_picture_not_readable")
            return None


def _chosen(text: str, images: Sequence[Image | None]) -> Taken:
    """A result's text with a note for each picture that is not kept, and the pictures that are."""
    left, notes, kept = BUDGET_OF_CALL, [text], list[Image]()
    for number, image in enumerate(images, 1):
        if image is None:
            notes.append(f"[Picture {number} {UNREADABLE}]")
        elif not left.allows(len(image.data)):
            notes.append(f"[Picture {number} {TOO_LARGE}]")
        else:
            kept.append(image)
            left = left.minus(len(image.data))
    return "\n".join(notes), kept
