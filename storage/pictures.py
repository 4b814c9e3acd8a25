"""The pictures of messages, one at a time, for showing them in Slack and for the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, LargeBinary, and_, func, select, update

from bot.domain import PDF, Attachment, Image
from bot.errors import ChatNotFound
from storage.engine.database import Database
from storage.statements.rows import to_image
from storage.tables import attachments, messages, tool_pictures


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a message, without its bytes."""

    message_id: str
    position: int
    """From 0, within its message."""
    name: str
    mime: str
    slack_file: str | None = None
    """Id of the file that shows it in Slack, or is about to."""
    size: int = 0
    """In bytes."""


class Pictures:
    """The repository of pictures. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_messages(self, message_ids: Sequence[str]) -> dict[str, list[Picture]]:
        """The pictures of these messages, by message and in order."""
        return await self._named(attachments.c.message_id.in_(message_ids)) if message_ids else {}

    async def of_chat(self, chat_id: str) -> dict[str, list[Picture]]:
        """The pictures of a chat's messages, by message and in order."""
        in_chat = select(messages.c.id).where(messages.c.chat_id == chat_id)
        return await self._named(attachments.c.message_id.in_(in_chat))

    async def _named(self, where: ColumnElement[bool]) -> dict[str, list[Picture]]:
        columns = (
            attachments.c.message_id,
            attachments.c.position,
            attachments.c.name,
            attachments.c.mime,
            attachments.c.slack_file,
            func.length(attachments.c.data),
        )
        query = select(*columns).where(where, attachments.c.mime != PDF).order_by(*columns[:2])
        found: dict[str, list[Picture]] = defaultdict(list)
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                found[row.message_id].append(Picture(*row))
        return found

    async def load(
        self, message_id: str, position: int, chat_id: str | None = None
    ) -> Image | None:
        """One picture with its bytes; None if there is none. `chat_id`: only if it is in this chat."""
        query = select(attachments).where(_is(message_id, position))
        if chat_id is not None:
            query = query.join(messages, messages.c.id == attachments.c.message_id)
            query = query.where(messages.c.chat_id == chat_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else to_image(row)

    async def read(self, attachment: Attachment, start: int, count: int) -> bytes:
        """Reads this many bytes of an attachment from an offset on. Raises ChatNotFound when it is gone."""
        table = tool_pictures if attachment.of_call else attachments
        piece = func.substr(table.c.data, start + 1, count, type_=LargeBinary)
        query = select(piece).where(_is_this(attachment))
        async with self._database.read() as connection:
            data: bytes | None = await connection.scalar(query)
        if not data:
            raise ChatNotFound(attachment.holder_id)
        return data

    async def note_file(self, picture: Picture, slack_file: str | None) -> None:
        """Records which Slack file is to show the picture; None: there is none."""
        same = _is(picture.message_id, picture.position)
        async with self._database.begin() as connection:
            await connection.execute(update(attachments).where(same).values(slack_file=slack_file))


def _is_this(attachment: Attachment) -> ColumnElement[bool]:
    if not attachment.of_call:
        return _is(attachment.holder_id, attachment.position)
    of_call = tool_pictures.c.call_id == attachment.holder_id
    return and_(of_call, tool_pictures.c.position == attachment.position)


def _is(message_id: str, position: int) -> ColumnElement[bool]:
    return and_(attachments.c.message_id == message_id, attachments.c.position == position)
