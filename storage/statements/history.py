"""What a model is sent of a chat, and the names by which it knows people, on the caller's connection."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Message, Thread
from storage.statements.images import ImageBudget, MessageImages
from storage.statements.queries import SELECT_HISTORY, SELECT_UNANSWERED
from storage.statements.rows import to_message
from storage.tables import chats, messages, questions


async def load_history(
    connection: AsyncConnection, chat_id: str, before_number: int, budget: ImageBudget | None
) -> list[Message]:
    """See `storage.chats.Chats.history`."""
    parameters = {"chat": chat_id, "before": before_number}
    rows = (await connection.execute(SELECT_HISTORY, parameters)).all()
    if not any(row.has_images for row in rows):
        return [to_message(row) for row in rows]
    before = and_(messages.c.chat_id == chat_id, messages.c.number < before_number)
    images = await MessageImages.load(connection, before, budget)
    return [images.to_message(row) for row in rows]


async def load_unanswered(
    connection: AsyncConnection, chat_id: str, before_number: int
) -> dict[str, Message]:
    """See `storage.chats.Chats.unanswered`."""
    parameters = {"chat": chat_id, "before": before_number}
    rows = await connection.execute(SELECT_UNANSWERED, parameters)
    return {row.question_id: to_message(row) for row in rows}


async def name_authors(connection: AsyncConnection, chat_id: str, names: Mapping[str, str]) -> None:
    """See `storage.chats.Chats.keep_author_names`."""
    for author, name in sorted(names.items()):
        unnamed = and_(
            messages.c.chat_id == chat_id,
            messages.c.author == author,
            messages.c.author_name.is_(None),
        )
        await connection.execute(update(messages).where(unnamed).values(author_name=name))


async def replace_text(
    connection: AsyncConnection, thread: Thread, ts: str, before: str, after: str
) -> None:
    """See `storage.chats.Chats.replace_text`."""
    in_thread = select(chats.c.id).where(
        chats.c.team == thread.team,
        chats.c.channel == thread.channel,
        chats.c.thread == thread.ts,
    )
    requested = and_(
        questions.c.team == thread.team,
        questions.c.channel == thread.channel,
        questions.c.thread == thread.ts,
        questions.c.source == ts,
        questions.c.text == before,
    )
    stored = and_(
        messages.c.chat_id.in_(in_thread), messages.c.source == ts, messages.c.text == before
    )
    await connection.execute(update(questions).where(requested).values(text=after))
    await connection.execute(update(messages).where(stored).values(text=after))
