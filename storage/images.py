"""The images of a chat's messages, of which no more are read than are to be sent."""

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
    """How many images, and how many bytes of them together."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class MessageImages:
    """The images of some messages, by message."""

    images: dict[str, list[Image]]
    omitted: dict[str, list[str]]

    @classmethod
    async def load(
        cls,
        connection: AsyncConnection,
        where: ColumnElement[bool],
        most: ImageBudget | None = None,
    ) -> MessageImages:
        """What is beyond `most`, the newest counted first, is not even read."""
        size = func.length(attachments.c.data).label("size")
        key = (attachments.c.message_id, attachments.c.position)
        listed = (
            select(*key, attachments.c.name, size)
            .join(messages, messages.c.id == attachments.c.message_id)
            .where(where)
            .order_by(messages.c.number.desc(), attachments.c.position)
        )
        held, taken, room = cls(defaultdict(list), defaultdict(list)), [], most
        for row in await connection.execute(listed):
            if room is None or (room.count > 0 and room.size >= row.size):
                taken.append((row.message_id, row.position))
                room = room and ImageBudget(room.count - 1, room.size - row.size)
            else:
                held.omitted[row.message_id].append(row.name)
                room = ImageBudget(0, 0)
        if taken:
            query = select(attachments).where(tuple_(*key).in_(taken)).order_by(*key)
            for image in await connection.execute(query):
                held.images[image.message_id].append(to_image(image))
        return held

    def to_message(self, row: Row[Any]) -> Message:
        return to_message(
            row, tuple(self.images.get(row.id, ())), tuple(self.omitted.get(row.id, ()))
        )
