"""Selects which images of a chat's messages a model is sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Attachment, Image, Message
from storage.statements.rows import image_rows, to_message
from storage.tables import attachments, messages


@dataclass(frozen=True, slots=True)
class ImageBudget:
    """How many images may be sent, and how many bytes of them in total."""

    count: int
    size: int

    def allows(self, size: int) -> bool:
        """Whether one more image of this size fits."""
        return self.count > 0 and self.size >= size

    def minus(self, size: int) -> ImageBudget:
        """What is left after an image of this size."""
        return ImageBudget(self.count - 1, self.size - size)

    def holds(self, sizes: Sequence[int]) -> bool:
        """Whether images of these sizes fit together."""
        return len(sizes) <= self.count and sum(sizes) <= self.size

    def half(self) -> ImageBudget:
        return ImageBudget(self.count // 2, self.size // 2)


def first_kept(messages: Sequence[Sequence[int]], budget: ImageBudget) -> int:
    """The first of these messages, oldest first, whose images are sent. `messages`: the sizes of the images of each.

    When the budget is exceeded, enough old messages lose their images to free half of it. The beginning of the prompt
    then stays the same for many turns, and is read from the provider's cache.
    """
    first, sizes = 0, list[int]()
    for at, new in enumerate(messages):
        sizes += new
        if budget.holds(sizes):
            continue
        while first < at and not budget.half().holds(sizes):
            del sizes[: len(messages[first])]
            first += 1
    return first


@dataclass(frozen=True, slots=True)
class MessageImages:
    """The images of some messages, by message id."""

    images: dict[str, list[Attachment]]
    omitted: dict[str, list[Attachment]]
    """Images beyond the budget."""

    @classmethod
    async def load(
        cls,
        connection: AsyncConnection,
        where: ColumnElement[bool],
        budget: ImageBudget | None = None,
    ) -> MessageImages:
        """The images of the messages that match, the newest ones within the budget (`first_kept`)."""
        rows = attachments.c
        query = (
            select(rows.message_id, rows.position, rows.name, rows.mime, func.length(rows.data))
            .join(messages, messages.c.id == rows.message_id)
            .where(where)
            .order_by(messages.c.number, rows.position)
        )
        found = [Attachment(*row) for row in await connection.execute(query)]
        by_message = [list(each) for _, each in groupby(found, lambda image: image.holder_id)]
        loaded = cls(defaultdict(list), defaultdict(list))
        loaded._choose(by_message, budget)
        return loaded

    def _choose(
        self, by_message: Sequence[Sequence[Attachment]], budget: ImageBudget | None
    ) -> None:
        """Divides the images into those within the budget and the others. `by_message`: oldest message first."""
        sizes = [[image.size for image in images] for images in by_message]
        first = 0 if budget is None else first_kept(sizes, budget)
        for at, images in enumerate(by_message):
            left = budget if at >= first else ImageBudget(0, 0)
            for image in images:
                if left is None:
                    self.images[image.holder_id].append(image)
                elif left.allows(image.size):
                    self.images[image.holder_id].append(image)
                    left = left.minus(image.size)
                else:
                    self.omitted[image.holder_id].append(image)

    def to_message(self, row: Row[Any]) -> Message:
        """The message of a row of `messages`, with its images."""
        return to_message(
            row, tuple(self.images.get(row.id, ())), tuple(self.omitted.get(row.id, ()))
        )


async def replace_images(
    connection: AsyncConnection, message_id: str, images: tuple[Image, ...]
) -> None:
    """Stores the images of a message that has no others."""
    if images:
        await connection.execute(delete(attachments).where(attachments.c.message_id == message_id))
        await connection.execute(insert(attachments), image_rows(images, message_id))
