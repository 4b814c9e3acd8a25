"""Stores a user message together with the waiting answer to it, inside the caller's transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Answer, Chat, Image, Message, Role, SharedFile, Status
from bot.domain.chores import Chore
from bot.errors import ChatBusy, ChatNotFound, LimitReached
from bot.text.mention_marks import marked_text, unmarked
from bot.tracing import current_trace
from bot.usage.calls import payer_of
from bot.usage.limits import NO_LIMITS, Limits
from storage.engine.types import new_id, utc_now
from storage.messages import NewMessage, StoredMessage
from storage.statements.chores import add_chores
from storage.statements.queries import (
    INSERT_ANSWER,
    INSERT_MESSAGE,
    INSERT_PARTICIPANT,
    RESERVE_PAIR,
    SELECT_CHAT,
    SELECT_MESSAGE_BY_SOURCE,
    TOUCH_PARTICIPANTS,
)
from storage.statements.quotes import note_quoted
from storage.statements.rows import (
    files_to_json,
    image_rows,
    select_answers,
    to_answer,
    to_attachment,
    to_chat,
    to_message,
)
from storage.statements.spending import admit
from storage.tables import IS_UNWRITTEN, answers, attachments, messages, questions


async def add_message(
    connection: AsyncConnection,
    chat_id: str,
    new: NewMessage,
    *,
    limit: int,
    limits: Limits = NO_LIMITS,
    request_id: str | None = None,
    reject_if_busy: bool = False,
) -> StoredMessage:
    """Stores the next message of a chat and its waiting answer; a known source returns the stored message.

    `limit`: messages of a chat; `limits`: what their author may use. Raises LimitReached, BudgetReached, ChatNotFound,
    ChatBusy (with `reject_if_busy`), and Conflict when another transaction has just stored the same source.
    """
    if known := await find_by_source(connection, chat_id, new.source):
        return known
    chat = await reserve_pair(connection, chat_id, limit)
    if chat is None:
        # This very message, delivered a moment ago, may have taken the last numbers.
        if known := await find_by_source(connection, chat_id, new.source):
            return known
        await load_chat(connection, chat_id)
        raise LimitReached(chat_id)
    if reject_if_busy and await has_open_answer(connection, chat_id):
        raise ChatBusy(chat_id)
    stored = await store_message(connection, chat, new, request_id)
    # Last, because other transactions may wait for the rows that this locks.
    await admit(connection, limits, payer_of(chat, new.author))
    return stored


async def check_new(
    connection: AsyncConnection, chat_id: str, new: NewMessage, *, limit: int
) -> StoredMessage | None:
    """See `storage.chats.Chats.check_new`."""
    if known := await find_by_source(connection, chat_id, new.source):
        return known
    if (await load_chat(connection, chat_id)).message_count + 2 > limit:
        raise LimitReached(chat_id)
    if await has_open_answer(connection, chat_id):
        raise ChatBusy(chat_id)
    return None


async def load_chat(connection: AsyncConnection, chat_id: str) -> Chat:
    """Raises ChatNotFound."""
    row = (await connection.execute(SELECT_CHAT, {"chat": chat_id})).one_or_none()
    if row is None:
        raise ChatNotFound("no such chat")
    return to_chat(row)


async def find_by_source(
    connection: AsyncConnection, chat_id: str, source: str | None
) -> StoredMessage | None:
    """The message that this chat stored earlier under this source, as a duplicate."""
    if source is None:
        return None
    row = (
        await connection.execute(SELECT_MESSAGE_BY_SOURCE, {"chat": chat_id, "source": source})
    ).one_or_none()
    return None if row is None else await load_duplicate(connection, to_message(row))


async def find_by_request(
    connection: AsyncConnection, request_id: str | None
) -> StoredMessage | None:
    """The message that this chat request has already become, as a duplicate."""
    if request_id is None:
        return None
    row = (
        await connection.execute(
            select(messages)
            .join(questions, questions.c.message_id == messages.c.id)
            .where(questions.c.id == request_id)
        )
    ).one_or_none()
    return None if row is None else await load_duplicate(connection, to_message(row))


async def load_duplicate(connection: AsyncConnection, message: Message) -> StoredMessage:
    chat = await load_chat(connection, message.chat_id)
    row = (
        await connection.execute(select_answers().where(answers.c.question_id == message.id))
    ).one()
    answer = to_answer(row)
    queued = answer.was_queued and answer.status is Status.WAITING
    return StoredMessage(chat, message, answer, duplicate=True, queued=queued)


async def reserve_pair(connection: AsyncConnection, chat_id: str, limit: int) -> Chat | None:
    """Reserves the next two message numbers of a chat; None if fewer than two are left or there is no such chat.

    One conditional UPDATE: a second transaction waits for the first one and then reads the new count.
    """
    parameters = {"chat": chat_id, "limit": limit, "updated_at": utc_now()}
    row = (await connection.execute(RESERVE_PAIR, parameters)).one_or_none()
    return None if row is None else to_chat(row)


_AFTER_THE_QUESTION = timedelta(milliseconds=1)
"""Clients order messages by their times, which the API reports in milliseconds."""


async def has_open_answer(connection: AsyncConnection, chat_id: str) -> bool:
    """Whether an answer of this chat is still to be written."""
    query = select(exists().where(answers.c.chat_id == chat_id, IS_UNWRITTEN))
    return bool(await connection.scalar(query))


async def store_message(
    connection: AsyncConnection, chat: Chat, new: NewMessage, request_id: str | None
) -> StoredMessage:
    """Stores the last two messages of `chat`, whose count already includes them. Raises Conflict for a known source."""
    now = utc_now()
    message = Message(
        id=new_id(),
        chat_id=chat.id,
        number=chat.message_count - 1,
        role=Role.USER,
        text=unmarked(new.text),
        marked_text=marked_text(new.text),
        created_at=now,
        author=new.author,
        source=new.source,
        files=new.files,
    )
    images = image_rows(new.images, message.id)
    message = replace(message, images=tuple(map(to_attachment, images)))
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
        trace=current_trace(),
    )
    # One statement per row: a statement with many rows is compiled again each time, and a message that is delivered
    # twice must fail without being logged.
    await connection.execute(INSERT_MESSAGE, _user_row(message, now))
    if images:
        await connection.execute(insert(attachments), images)
    answer = await store_answer(connection, chat, answer)
    await add_participants(connection, chat, new.author)
    if request_id is not None:
        await _mark_request_used(connection, request_id, message)
    return StoredMessage(chat, message, answer, queued=answer.was_queued)


async def store_answer(connection: AsyncConnection, chat: Chat, answer: Answer) -> Answer:
    """Stores a waiting answer as its chat's last message; returns it and whether it has to wait for others."""
    await connection.execute(
        INSERT_MESSAGE, _assistant_row(answer, utc_now() + _AFTER_THE_QUESTION)
    )
    return replace(answer, was_queued=await _insert_answer(connection, chat, answer))


def _user_row(message: Message, now: datetime) -> dict[str, Any]:
    return {
        "id": message.id,
        "chat_id": message.chat_id,
        "number": message.number,
        "role": Role.USER,
        "text": message.marked_text or message.text,
        "status": Status.DONE,
        "author": message.author,
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
        "source": None,
        "files": None,
        "created_at": now,
        "updated_at": now,
    }


async def _insert_answer(connection: AsyncConnection, chat: Chat, answer: Answer) -> bool:
    """Stores the job; returns whether it has to wait for an earlier answer."""
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
        "admitted_at": utc_now(),
        "trace": answer.trace,
    }
    return bool(await connection.scalar(INSERT_ANSWER, row))


async def add_participants(connection: AsyncConnection, chat: Chat, author: str) -> None:
    """Moves the chat to the top of the lists of its owner, its author and all earlier participants."""
    now = utc_now()
    for user in sorted({chat.owner, author}):
        row = {"team": chat.team, "user": user, "chat_id": chat.id, "active_at": now}
        await connection.execute(INSERT_PARTICIPANT[connection.dialect.name], row)
    await connection.execute(TOUCH_PARTICIPANTS, {"chat": chat.id, "author": author, "now": now})


async def store_loaded_files(
    connection: AsyncConnection,
    message: Message,
    more_text: str,
    images: tuple[Image, ...],
    files: tuple[SharedFile, ...],
    transcript: str | None = None,
) -> bool:
    """Stores the content of a message's files; False if another transaction has done so first."""
    same = and_(messages.c.id == message.id, messages.c.files == files_to_json(message.files))
    # Not `message.text`, which may have been replaced since it was read:
    whole_text = messages.c.text + more_text
    changed = (
        update(messages)
        .where(same)
        .values(text=whole_text, files=files_to_json(files), updated_at=utc_now())
    )
    if (await connection.execute(changed)).rowcount == 0:
        return False
    if images:
        stored = (
            select(func.count())
            .select_from(attachments)
            .where(attachments.c.message_id == message.id)
        )
        begin = await connection.scalar(stored) or 0
        await connection.execute(insert(attachments), image_rows(images, message.id, begin))
    if transcript:
        await _keep_transcript(connection, message.id, transcript)
    return True


async def _keep_transcript(connection: AsyncConnection, message_id: str, transcript: str) -> None:
    """Stores the transcript of a message's voice clips, which is to be shown in the thread."""
    kept = update(messages).where(messages.c.id == message_id).values(spoken=transcript)
    await connection.execute(kept)
    answer = select(answers.c.message_id).where(answers.c.question_id == message_id)
    if (answer_id := await connection.scalar(answer)) is not None:
        await add_chores(connection, answer_id, {Chore.SHOW_TRANSCRIPT: 0.0})


_REQUEST_QUOTES = (questions.c.quoted, questions.c.said_since, questions.c.context_files)


async def _mark_request_used(
    connection: AsyncConnection, request_id: str, message: Message
) -> None:
    used = (
        update(questions)
        .where(questions.c.id == request_id)
        .values(state="used", message_id=message.id)
        .returning(*_REQUEST_QUOTES)
    )
    request = (await connection.execute(used)).one_or_none()
    if request is not None:
        await note_quoted(connection, request, message)
