"""Copies a conversation up to one of its questions into the chat that asks another model, inside the caller's
transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Answer, Chat, Message, Status
from storage.engine.types import new_id, utc_now
from storage.messages import StoredMessage
from storage.statements.messages import add_participants, load_chat, load_duplicate, store_answer
from storage.statements.queries import INSERT_MESSAGE
from storage.statements.rows import to_message
from storage.statements.steps import copy_steps
from storage.statements.tool_call_copies import copy_calls
from storage.tables import answers, attachments, chats, messages

_NOT_COPIED = (
    "call",
    "call_tokens",
    "call_cost",
    "admitted_at",
    "budget_notice",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost",
    "seconds",
    "owner",
    "lease_until",
)
"""Not copied, because an answer's cost was paid once."""


async def copy_conversation(connection: AsyncConnection, chat_id: str) -> StoredMessage | None:
    """Stores the messages up to the chat's `branch_of`, and a waiting answer to it; returns these two.

    As a duplicate if this was done before; None if the question is gone.
    """
    chat = await load_chat(connection, chat_id)
    question = (
        await connection.execute(select(messages).where(messages.c.id == chat.branch_of))
    ).one_or_none()
    if question is None:
        return None
    if not await _reserve(connection, chat.id, question.number + 1):
        copied = messages.c.chat_id == chat.id, messages.c.number == question.number
        stored = (await connection.execute(select(messages).where(*copied))).one()
        return await load_duplicate(connection, to_message(stored))
    new_ids = await _copy_messages(connection, question, chat)
    await _copy_answers(connection, question, chat, new_ids)
    answer = Answer(
        id=new_id(),
        chat_id=chat.id,
        number=question.number + 1,
        question_id=new_ids[question.id],
        status=Status.WAITING,
        attempt=0,
        asker=chat.owner,
        asker_team=chat.team,
    )
    await store_answer(connection, chat, answer)
    author = question.author or chat.owner  # an erased author takes part in nothing
    await add_participants(connection, chat, author)
    return StoredMessage(chat, await _load_message(connection, answer.question_id), answer)


async def _load_message(connection: AsyncConnection, message_id: str) -> Message:
    query = select(messages).where(messages.c.id == message_id)
    return to_message((await connection.execute(query)).one())


async def _reserve(connection: AsyncConnection, chat_id: str, count: int) -> bool:
    """Counts the messages, unless the chat already has some."""
    empty = update(chats).where(chats.c.id == chat_id, chats.c.message_count == 0)
    return (await connection.execute(empty.values(message_count=count))).rowcount > 0


async def _copy_messages(
    connection: AsyncConnection, question: Row[Any], chat: Chat
) -> dict[str, str]:
    """The new ids of the messages up to the question, by their old ids."""
    query = (
        select(messages)
        .where(messages.c.chat_id == question.chat_id, messages.c.number <= question.number)
        .order_by(messages.c.number)
        .with_for_update(read=True)  # nobody is erased from them before they are copied
    )
    new_ids: dict[str, str] = {}
    now = utc_now()
    for row in (await connection.execute(query)).all():
        new_ids[row.id] = new_id()
        changed = {"id": new_ids[row.id], "chat_id": chat.id, "source": None, "updated_at": now}
        await connection.execute(INSERT_MESSAGE, {**row._mapping, **changed})
    for old, new in new_ids.items():
        await connection.execute(_copied_attachments(old, new))
    return new_ids


def _copied_attachments(old: str, new: str) -> Any:
    rest = [column for column in attachments.c if column.name != "message_id"]
    rows = select(literal(new), *rest).where(attachments.c.message_id == old)
    return insert(attachments).from_select(["message_id", *(column.name for column in rest)], rows)


async def _copy_answers(
    connection: AsyncConnection, question: Row[Any], chat: Chat, new_ids: dict[str, str]
) -> None:
    """Copies how the earlier answers ended. Their Slack messages stay with the old chat."""
    query = select(answers).where(
        answers.c.chat_id == question.chat_id, answers.c.number < question.number
    )
    for row in (await connection.execute(query)).all():
        changed: dict[str, Any] = {
            "message_id": new_ids[row.message_id],
            "question_id": new_ids[row.question_id],
            "chat_id": chat.id,
            "state": "ended",
            "parts": [],
            "question_ts": None,
            **dict.fromkeys(_NOT_COPIED),
        }
        await connection.execute(insert(answers), {**row._mapping, **changed})
        await copy_steps(connection, row.message_id, new_ids[row.message_id])
        await copy_calls(connection, row.message_id, new_ids[row.message_id], chat.id)
