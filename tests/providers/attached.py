"""Attachments of requests, whose bytes no database holds."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain import Attachment, Image
from bot.errors import ChatNotFound
from bot.providers.request_body import ReadAttachment


def attached(images: Sequence[Image]) -> tuple[tuple[Attachment, ...], ReadAttachment]:
    """The images as a message refers to them, and what reads their bytes."""

    async def read(attachment: Attachment, start: int, count: int) -> bytes:
        data = images[attachment.position].data[start : start + count]
        if not data:
            raise ChatNotFound
        return data

    found = (
        Attachment("id", at, one.name, one.mime, len(one.data)) for at, one in enumerate(images)
    )
    return tuple(found), read
