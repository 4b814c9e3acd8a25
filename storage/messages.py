"""Storing one exchange: the person's message, and the waiting answer that is the work to do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Answer, Chat, Image, Message, Role, SharedFile, Status
from storage.engine.types import new_id, utc_now
from storage.queries import (
    INSERT_ANSWER,
    INSERT_MESSAGE,
    INSERT_PARTICIPANT,
    RESERVE_PAIR,
    SELECT_MESSAGE_BY_SOURCE,
    TOUCH_PARTICIPANTS,
)
from storage.rows import files_to_json, image_rows, select_answers, to_answer, to_chat, to_message
from storage.tables import IS_OPEN, answers, attachments, chats, messages, questions


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What a person says, before it has a number."""

    text: str = field(repr=False)
    author: str
    """Slack user id."""
    author_name: str | None = None
    author_team: str | None = None
    """The author's own workspace where it is not the chat's."""
    source: str | None = None
    """Unique within the chat; the same source again is the same message."""
    images: tuple[Image, ...] = ()
    files: tuple[SharedFile, ...] = ()
    """To be fetched when the answer is due."""
    ts: str | None = None
    """The Slack message that asks, where there is one."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A stored exchange."""

    chat: Chat
    message: Message
    answer: Answer
    duplicate: bool = False
    """It was stored before; nothing new has been."""
    queued: bool = False
    """An earlier answer of this chat has not ended, so this one waits its turn."""


async def find_by_source(
    connection: AsyncConnection, chat_id: str, source: str | None
) -> StoredMessage | None:
    """What was stored earlier in this chat under this source."""
    if source is None:
        return None
    row = (
        await connection.execute(SELECT_MESSAGE_BY_SOURCE, {"chat": chat_id, "source": source})
    ).one_or_none()
    return None if row is None else await load_stored(connection, to_message(row))


async def load_stored(connection: AsyncConnection, message: Message) -> StoredMessage:
    """The exchange that this user message began, as a duplicate of itself."""
    chat = (await connection.execute(select(chats).where(chats.c.id == message.chat_id))).one()
    row = (
        await connection.execute(select_answers().where(answers.c.question_id == message.id))
    ).one()
    answer = to_answer(row)
    waits = answer.was_queued and answer.status is Status.WAITING
    return StoredMessage(to_chat(chat), message, answer, duplicate=True, queued=waits)


async def reserve_pair(connection: AsyncConnection, chat_id: str, limit: int) -> Chat | None:
    """Reserve the next two numbers of a chat, or None when it has no room for two (or there is no such chat).

    One conditional UPDATE: whoever comes second waits for the first and then counts anew.
    """
    given = {"chat": chat_id, "most": limit, "updated_at": utc_now()}
    row = (await connection.execute(RESERVE_PAIR, given)).one_or_none()
    return None if row is None else to_chat(row)


async def has_open_answer(connection: AsyncConnection, chat_id: str) -> bool:
    """Whether an answer of this chat has not ended."""
    query = select(exists().where(answers.c.chat_id == chat_id, IS_OPEN))
    return bool(await connection.scalar(query))


async def store_message(
    connection: AsyncConnection, chat: Chat, new: NewMessage, question_id: str | None
) -> StoredMessage:
    """Store the last two messages of `chat`, whose count holds them already. Raises Conflict for a known source."""
    now = utc_now()
    message = Message(
        id=new_id(),
        chat_id=chat.id,
        number=chat.message_count - 1,
        role=Role.USER,
        text=new.text,
        created_at=now,
        author=new.author,
        author_name=new.author_name,
        source=new.source,
        images=new.images,
        files=new.files,
    )
    answer = Answer(
        id=new_id(),
        chat_id=chat.id,
        number=chat.message_count,
        question_id=message.id,
        status=Status.WAITING,
        attempt=0,
        asker=new.author,
        asker_team=new.author_team or chat.team,
        question_ts=new.ts,
    )
    # One after the other: a statement with many rows is compiled anew each time, and a message that is delivered twice
    # must fail without a word in the log.
    for row in (_user_row(message, now), _assistant_row(answer, now)):
        await connection.execute(INSERT_MESSAGE, row)
    if new.images:
        await connection.execute(insert(attachments), image_rows(new.images, message.id))
    answer = replace(answer, was_queued=await _store_answer(connection, chat, answer))
    await _take_part(connection, chat, new.author, now)
    if question_id is not None:
        await _use_question(connection, question_id, message.id)
    return StoredMessage(chat, message, answer, queued=answer.was_queued)


def _user_row(message: Message, now: datetime) -> dict[str, Any]:
    return {
        "id": message.id,
        "chat_id": message.chat_id,
        "number": message.number,
        "role": Role.USER,
        "text": message.text,
        "status": Status.DONE,
        "author": message.author,
        "author_name": message.author_name,
        "source": message.source,
        "files": files_to_json(message.files),
        "created_at": now,
        "updated_at": now,
    }


def _assistant_row(answer: Answer, now: datetime) -> dict[str, Any]:
    return {
        "id": answer.id,
        "chat_id": answer.chat_id,
        "number": answer.number,
        "role": Role.ASSISTANT,
        "text": "",
        "status": Status.WAITING,
        "author": None,
        "author_name": None,
        "source": None,
        "files": None,
        "created_at": now,
        "updated_at": now,
    }


async def _store_answer(connection: AsyncConnection, chat: Chat, answer: Answer) -> bool:
    """Store the work to do; tells whether it has to wait its turn."""
    row = {
        "chat": chat.id,
        "message_id": answer.id,
        "chat_id": chat.id,
        "number": answer.number,
        "question_id": answer.question_id,
        "state": "waiting",
        "attempt": 0,
        "complete": False,
        "cut": False,
        "parts": [],
        "stop_requested": False,
        "asker": answer.asker,
        "asker_team": answer.asker_team,
        "question_ts": answer.question_ts,
        "model": str(chat.model),
    }
    return bool(await connection.scalar(INSERT_ANSWER, row))


async def _take_part(connection: AsyncConnection, chat: Chat, author: str, now: datetime) -> None:
    """The chat moves to the top of the lists of its owner, its author and all who took part before."""
    for user in sorted({chat.owner, author}):
        newcomer = {"team": chat.team, "user": user, "chat_id": chat.id, "active_at": now}
        await connection.execute(INSERT_PARTICIPANT[connection.dialect.name], newcomer)
    await connection.execute(TOUCH_PARTICIPANTS, {"chat": chat.id, "author": author, "now": now})


async def _use_question(connection: AsyncConnection, question_id: str, message_id: str) -> None:
    await connection.execute(
        update(questions)
        .where(questions.c.id == question_id)
        .values(state="used", message_id=message_id)
    )


async def find_by_request(
    connection: AsyncConnection, question_id: str | None
) -> StoredMessage | None:
    """What this waiting question has become already."""
    if question_id is None:
        return None
    row = (
        await connection.execute(
            select(messages)
            .join(questions, questions.c.message_id == messages.c.id)
            .where(questions.c.id == question_id)
        )
    ).one_or_none()
    return None if row is None else await load_stored(connection, to_message(row))
