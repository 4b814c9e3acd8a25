"""Reads whole chats piece by piece, so that an export of any size takes little memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from sqlalchemy import and_, select

from bot.domain import Attachment, Chat, Image, Message, User
from bot.domain.tool_calls import StoredCall
from storage.engine.database import Database
from storage.statements.images import ImageBudget, MessageImages
from storage.statements.rows import to_chat, to_image
from storage.statements.steps import load_steps
from storage.statements.tool_call_rows import to_call
from storage.tables import answer_steps, attachments, chats, messages, participants, tool_calls

MESSAGES_AT_ONCE = 4
"""A message may have 400,000 characters."""
CHATS_AT_ONCE = 100


class Transcripts:
    """The repository of chats for export: each page is one read, and raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def chats_of(self, user: User) -> AsyncIterator[Chat]:
        """All chats that a person started or took part in, by id; ids are in the order in which the chats began."""
        last = ""
        while True:
            query = (
                select(chats)
                .join(participants, participants.c.chat_id == chats.c.id)
                .where(
                    participants.c.team == user.team,
                    participants.c.user == user.id,
                    chats.c.id > last,
                )
                .order_by(chats.c.id)
                .limit(CHATS_AT_ONCE)
            )
            async with self._database.read() as connection:
                page = [to_chat(row) for row in await connection.execute(query)]
            for chat in page:
                yield chat
            if len(page) < CHATS_AT_ONCE:
                return
            last = page[-1].id

    async def messages(self, chat_id: str) -> AsyncIterator[Message]:
        """The chat's messages in order. `omitted_images` has their attachments, whose bytes are not read."""
        last = 0
        while True:
            where = and_(messages.c.chat_id == chat_id, messages.c.number > last)
            query = (
                select(messages).where(where).order_by(messages.c.number).limit(MESSAGES_AT_ONCE)
            )
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).all()
                shown = messages.c.id.in_([row.id for row in rows])
                images = await MessageImages.load(connection, shown, ImageBudget(0, 0))
                of_rows = answer_steps.c.message_id.in_([row.id for row in rows])
                steps = await load_steps(connection, of_rows)
            for row in rows:
                yield replace(images.to_message(row), steps=steps.get(row.id, ()))
            if len(rows) < MESSAGES_AT_ONCE:
                return
            last = rows[-1].number

    async def calls(self, answer_id: str) -> list[StoredCall]:
        """The tool calls of an answer, in order."""
        query = select(tool_calls).where(tool_calls.c.answer_id == answer_id)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(tool_calls.c.round, tool_calls.c.number))
            return [to_call(row) for row in rows]

    async def read(self, attachment: Attachment) -> Image | None:
        """One of a message's attachments with its bytes; None if it is gone."""
        query = select(attachments).where(
            attachments.c.message_id == attachment.holder_id,
            attachments.c.position == attachment.position,
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else to_image(row)
