"""Whose words are in a text besides its author's: from a thread that was read, or from the chat that one continues.

Stored as Slack ids in the columns `quoted`, so that erasing a person finds them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Message, Role
from storage.statements.queries import ASK_TO_STOP, lock_answers
from storage.statements.rows import people_of
from storage.statements.titles import forget_titles
from storage.tables import (
    IS_RUNNING,
    answers,
    attachments,
    chats,
    messages,
    questions,
    summaries,
)

ERASED_TEXT = "(erased)"
"""What remains of an erased person's words in somebody else's chat, because later answers build on it."""


def to_quoted(people: Collection[str]) -> str | None:
    """A value for these columns: each id between two spaces."""
    return f" {' '.join(sorted(set(people)))} " if people else None


def people_in(quoted: str | None) -> set[str]:
    """The ids in such a value."""
    return set((quoted or "").split())


def quotes(column: ColumnElement[str | None], user: str) -> ColumnElement[bool]:
    """Whether this user is among them."""
    return column.contains(f" {user} ", autoescape=True)


async def count_people(
    connection: AsyncConnection, chat_id: str, since: int, through: int, *, lock: bool = False
) -> int:
    """How many authors these messages have, how many of them quote others, and 1 if the thread before them was read.

    Fewer once somebody has been erased from them. `lock`: nobody is before the transaction has ended.
    """
    said = select(messages.c.author, messages.c.quoted).where(
        messages.c.chat_id == chat_id, messages.c.number.between(since, through)
    )
    before = select(chats.c.quoted).where(chats.c.id == chat_id, literal(since) == 1)
    if lock:
        said, before = said.with_for_update(read=True), before.with_for_update(read=True)
    # In the order in which an erasure locks them, to prevent deadlocks.
    rows = (await connection.execute(said.order_by(messages.c.id))).all()
    quoted = await connection.scalar(before)
    return sum(map(people_of, rows)) + int(quoted is not None)


@dataclass(frozen=True, slots=True)
class Said:
    """Whose words a chat has."""

    questions: Sequence[Row[Any, Any, Any]]
    before: str | None
    """Whom the thread before them quotes, if it was read."""

    def count(self, through: int) -> int:
        """What `count_people` returns for the messages up to this one."""
        rows = [row for row in self.questions if row.number <= through]
        return sum(map(people_of, rows)) + int(self.before is not None)

    def people(self) -> set[str]:
        authors = {row.author for row in self.questions if row.author is not None}
        quoted = (people_in(row.quoted) for row in self.questions)
        return authors.union(people_in(self.before), *quoted)


async def lock_said(connection: AsyncConnection, chat_id: str) -> Said:
    """Whose words the chat has; nobody is erased from it before the transaction has ended."""
    asked = messages.c.chat_id == chat_id, messages.c.role == Role.USER
    said = select(messages.c.number, messages.c.author, messages.c.quoted).where(*asked)
    before = select(chats.c.quoted).where(chats.c.id == chat_id)
    # All messages before the chat, as an erasure locks them, to prevent deadlocks.
    rows = await connection.execute(said.order_by(messages.c.id).with_for_update(read=True))
    return Said(rows.all(), await connection.scalar(before.with_for_update(read=True)))


async def note_quoted(connection: AsyncConnection, request: Row[Any], message: Message) -> None:
    """Records whom a question and its chat quote, according to the request that became the question.

    What was said before it is in the chat; what was said since, and others' files, in the question.
    """
    if request.quoted is None:
        return
    new = (
        chats.c.id == message.chat_id,
        chats.c.context.is_not(None),
        chats.c.context != ERASED_TEXT,
        chats.c.quoted.is_(None),
    )
    await connection.execute(update(chats).where(*new).values(quoted=request.quoted))
    if request.said_since or request.context_files:
        this = update(messages).where(messages.c.id == message.id)
        await connection.execute(this.values(quoted=request.quoted))


@dataclass(frozen=True, slots=True)
class Quoting:
    """What quotes a user."""

    chats: Sequence[str]
    """Ids of chats whose context does."""
    messages: Sequence[str]
    """Ids of questions that do."""

    def answers(self) -> ColumnElement[bool]:
        """The answers of these chats and of the questions' chats."""
        affected = select(messages.c.chat_id).where(messages.c.id.in_(self.messages))
        return or_(answers.c.chat_id.in_(self.chats), answers.c.chat_id.in_(affected))


async def find_quotes(
    connection: AsyncConnection, user: str, chat_ids: Collection[str]
) -> Quoting | None:
    """What quotes the user in these chats; None if nothing does."""
    in_chats = and_(chats.c.id.in_(chat_ids), quotes(chats.c.quoted, user))
    in_messages = and_(messages.c.chat_id.in_(chat_ids), quotes(messages.c.quoted, user))
    quoting = Quoting(
        (await connection.scalars(select(chats.c.id).where(in_chats))).all(),
        (await connection.scalars(select(messages.c.id).where(in_messages))).all(),
    )
    return quoting if quoting.chats or quoting.messages else None


async def forget_quotes(connection: AsyncConnection, quoting: Quoting) -> None:
    """Removes these quotes. Answers that are being written from them are stopped; `stop_running` finds those that began
    until the commit.

    A question that quotes the user keeps its author's own words, as far as they are known.
    """
    # Answers before messages before chats: whoever stores a result locks them in this order.
    await stop_running(connection, quoting.answers())
    await _leave_own_words(connection, quoting.messages)
    forgotten = update(chats).where(chats.c.id.in_(quoting.chats))
    await connection.execute(forgotten.values(context=ERASED_TEXT, quoted=None))
    from_context = summaries.c.chat_id.in_(quoting.chats), summaries.c.since == 1
    await connection.execute(delete(summaries).where(*from_context))


async def _leave_own_words(connection: AsyncConnection, message_ids: Sequence[str]) -> None:
    """Removes everything from these questions except their authors' own words, and what was made from it."""
    own = select(func.max(questions.c.text)).where(questions.c.message_id == messages.c.id)
    text = func.coalesce(own.scalar_subquery(), ERASED_TEXT)
    left = {"text": text, "files": None, "spoken": None, "quoted": None}
    these = messages.c.id.in_(message_ids)
    await connection.execute(update(messages).where(these).values(left))
    await connection.execute(delete(attachments).where(attachments.c.message_id.in_(message_ids)))
    await forget_titles(connection, message_ids)
    await forget_summaries(connection, message_ids)


async def forget_summaries(connection: AsyncConnection, message_ids: Sequence[str]) -> None:
    """Removes what models wrote about these messages; they write it again from what is left.

    Done after the messages are emptied, so that no other summary of their content is stored.
    """
    summarised = exists().where(
        messages.c.id.in_(message_ids),
        messages.c.chat_id == summaries.c.chat_id,
        messages.c.number.between(summaries.c.since, summaries.c.through),
    )
    await connection.execute(delete(summaries).where(summarised))


async def forget_quotes_in_requests(
    connection: AsyncConnection, team: str, user: str, limit: int
) -> int:
    """Removes what other people's chat requests quote of the user; returns 0 when there are no more."""
    quoting = and_(questions.c.team == team, quotes(questions.c.quoted, user))
    some = select(questions.c.id).where(quoting).limit(limit)
    left = {"context": ERASED_TEXT, "said_since": None, "context_files": None, "quoted": None}
    changed = update(questions).where(questions.c.id.in_(some)).values(left)
    return (await connection.execute(changed)).rowcount


async def stop_running(connection: AsyncConnection, where: ColumnElement[bool]) -> None:
    """Stops the answers that are being written by models that know what is now erased.

    Done again after the erasure is committed, for answers that began before that.
    """
    ids = await lock_answers(connection, and_(IS_RUNNING, where))
    stopped = update(answers).where(answers.c.message_id.in_(ids))
    await connection.execute(stopped.values(ASK_TO_STOP))
