"""Loads the images of a chat's messages, but not more of them than the model will be sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Image, Message
from storage.rows import image_rows, to_image, to_message
from storage.tables import attachments, messages


@dataclass(frozen=True, slots=True)
class ImageBudget:
    """How many images may be loaded, and how many bytes of them in total."""

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

    When the budget is exceeded, so many old messages lose their images that half of it is free again. What a model is
    sent then begins in the same way for many turns, and is read from the provider's cache.
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

    images: dict[str, list[Image]]
    omitted: dict[str, list[str]]
    """Names of the images that were not loaded."""

    @classmethod
    async def load(
        cls,
        connection: AsyncConnection,
        where: ColumnElement[bool],
        budget: ImageBudget | None = None,
    ) -> MessageImages:
        """Load the images of the messages that match, the newest ones within the budget (`first_kept`)."""
        size = func.length(attachments.c.data).label("size")
        key = (attachments.c.message_id, attachments.c.position)
        query = (
            select(*key, attachments.c.name, size)
            .join(messages, messages.c.id == attachments.c.message_id)
            .where(where)
            .order_by(messages.c.number, attachments.c.position)
        )
        loaded = cls(defaultdict(list), defaultdict(list))
        rows = (await connection.execute(query)).all()
        by_message = [list(each) for _, each in groupby(rows, lambda row: row.message_id)]
        wanted = loaded._choose(by_message, budget)
        if wanted:
            with_data = select(attachments).where(tuple_(*key).in_(wanted)).order_by(*key)
            for image in await connection.execute(with_data):
                loaded.images[image.message_id].append(to_image(image))
        return loaded

    def _choose(
        self, by_message: Sequence[Sequence[Any]], budget: ImageBudget | None
    ) -> list[tuple[str, int]]:
        """The keys of the images to load; notes the names of the others. `by_message`: rows, oldest message first."""
        if budget is None:
            return [(row.message_id, row.position) for rows in by_message for row in rows]
        wanted = []
        first = first_kept([[row.size for row in rows] for rows in by_message], budget)
        for at, rows in enumerate(by_message):
            left = budget if at >= first else ImageBudget(0, 0)
            for row in rows:
                if left.allows(row.size):
                    wanted.append((row.message_id, row.position))
                    left = left.minus(row.size)
                else:
                    self.omitted[row.message_id].append(row.name)
        return wanted

    def to_message(self, row: Row[Any]) -> Message:
        """The message of a row of `messages`, with its images."""
        return to_message(
            row, tuple(self.images.get(row.id, ())), tuple(self.omitted.get(row.id, ()))
        )


async def replace_images(
    connection: AsyncConnection, message_id: str, images: tuple[Image, ...]
) -> None:
    """Store the images of a message, which has no others."""
    if images:
        await connection.execute(delete(attachments).where(attachments.c.message_id == message_id))
        await connection.execute(insert(attachments), image_rows(images, message_id))
