"""Loads the images of a chat's messages, but not more of them than the model will be sent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Image, Message
from storage.rows import to_image, to_message
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
        """Load the images of the messages that match, newest message first, until one exceeds the budget."""
        size = func.length(attachments.c.data).label("size")
        key = (attachments.c.message_id, attachments.c.position)
        query = (
            select(*key, attachments.c.name, size)
            .join(messages, messages.c.id == attachments.c.message_id)
            .where(where)
            .order_by(messages.c.number.desc(), attachments.c.position)
        )
        loaded = cls(defaultdict(list), defaultdict(list))
        wanted = []
        for row in await connection.execute(query):
            if budget is None:
                wanted.append((row.message_id, row.position))
            elif budget.allows(row.size):
                wanted.append((row.message_id, row.position))
                budget = budget.minus(row.size)
            else:
                loaded.omitted[row.message_id].append(row.name)
                budget = ImageBudget(0, 0)  # no older image either, even if it would fit
        if wanted:
            with_data = select(attachments).where(tuple_(*key).in_(wanted)).order_by(*key)
            for image in await connection.execute(with_data):
                loaded.images[image.message_id].append(to_image(image))
        return loaded

    def to_message(self, row: Row[Any]) -> Message:
        """The message of a row of `messages`, with its images."""
        return to_message(
            row, tuple(self.images.get(row.id, ())), tuple(self.omitted.get(row.id, ()))
        )
