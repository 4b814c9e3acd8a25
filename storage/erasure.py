"""Removes chats and personal data in batches, so that nobody has to wait meanwhile.

`COVERED` and `EXEMPT` name every table: a test compares them with the existing tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    not_,
    select,
    true,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import TitleBy, User
from storage.engine.database import Database
from storage.engine.types import database_time
from storage.statements.anonymous_days import anonymise_days
from storage.statements.inherited_quotes import complete, find_incomplete, next_successors
from storage.statements.queries import ASK_TO_STOP, lock_answers, locked_in_order
from storage.statements.quotes import (
    ERASED_TEXT,
    find_quotes,
    forget_quotes,
    forget_quotes_in_requests,
    forget_summaries,
    stop_running,
)
from storage.statements.titles import forget_titles
from storage.statements.tool_call_rows import EMPTY_CALL
from storage.tables import (
    IS_HELD,
    IS_OPEN,
    IS_RUNNING,
    IS_UNWRITTEN,
    answer_steps,
    answers,
    api_tokens,
    attachments,
    channel_settings,
    chats,
    chores,
    feedback,
    installations,
    ledger,
    messages,
    participants,
    people,
    questions,
    spending,
    summaries,
    tool_calls,
    tool_grants,
    tool_pictures,
    usage_days,
)

COVERED = {
    "chats": "the person's own, or those not used any more; of others, what they quote of the person",
    "messages": "of these chats; in chats of others, the person's text, files and name are removed from them",
    "answers": "of these chats; the person's id as the one who asked or stopped",
    "answer_steps": "of these chats; of answers to the person's other messages, all but their kind",
    "attachments": "of these chats, and of the person's other messages",
    "summaries": "of these chats, and of the person's other messages",
    "chores": "of these chats",
    "tool_calls": "of these chats, and those that the person's other messages led to",
    "tool_pictures": "of these calls",
    "tool_grants": "of these chats, and the person's in chats of others",
    "participants": "of these chats, and the person's in chats of others",
    "questions": "of these chats, and all that the person asked; of others, what they quote of the person",
    "feedback": "on answers of these chats, and the person's",
    "people": "the person's name and preferences",
    "api_tokens": "the person's",
    "installations": "the person's id as the one who installed the app",
    "channel_settings": "the person's id as the one who changed them",
    "ledger": "made anonymous: of the person, or as old as the chats",
    "usage_days": "the same: added to what is nobody's",
    "spending": "the person's",
}
"""What is removed from each table. The search index `passages` belongs to `participants`."""
EXEMPT = {
    "workspaces": "names workspaces and organisations, no people",
    "done_once": "digests, which expire within two days",
    "models_without_system_role": "names models",
}
"""Tables without data about people or chats, and why."""


_EMPTY_MESSAGE = {
    "text": ERASED_TEXT,
    "spoken": None,
    "files": None,
    "author": None,
    "author_name": None,
    "source": case((messages.c.source.like("api:%"), None), else_=messages.c.source),
}
"""What remains of a person's message. The source of an API message names its author; Slack's is only a timestamp."""
_IS_USED_NOW = (
    exists()
    .where(
        answers.c.chat_id == chats.c.id,
        IS_HELD,
        answers.c.parked.is_not(true()),
        answers.c.lease_until > database_time(),
    )
    .correlate(chats)
)
"""Whether a worker is writing an answer of the chat."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to erase: everything about one person, or all chats not used since a given time."""

    user: User | None = None
    before: datetime | None = None

    def chats(self) -> ColumnElement[bool]:
        """The chats that are removed completely."""
        if self.user is not None:
            return and_(chats.c.team == self.user.team, chats.c.owner == self.user.id)
        assert self.before is not None
        return and_(chats.c.updated_at < self.before, not_(_IS_USED_NOW))

    def calls(self) -> ColumnElement[bool]:
        """The ledger rows that are made anonymous."""
        if self.user is not None:
            return and_(ledger.c.team == self.user.team, ledger.c.user == self.user.id)
        return ledger.c.at < self.before

    def days(self) -> ColumnElement[bool]:
        """The daily sums that are made anonymous."""
        if self.user is not None:
            return and_(usage_days.c.team == self.user.team, usage_days.c.user == self.user.id)
        assert self.before is not None
        return usage_days.c.day < f"{self.before:%Y-%m-%d}"

    def requests(self) -> ColumnElement[bool]:
        """The chat requests that are removed in addition to those of the chats."""
        if self.user is not None:
            return and_(questions.c.team == self.user.team, questions.c.user == self.user.id)
        return questions.c.created_at < self.before


class Erasure:
    """The repository for erasure. Every method raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, selection: Selection) -> dict[str, int]:
        """How many rows of each table `erase` would remove or empty."""
        async with self._database.search() as connection:
            return {
                name: await connection.scalar(query) or 0
                for name, query in _counts(selection).items()
            }

    async def complete_quotes(self, after: str, limit: int) -> str | None:
        """Names, in the next continuations and branches in order, whom they quote according to the chats before them.

        Returns the id of the last of these chats; None when there are no more.
        """
        async with self._database.search() as connection:
            ids = await next_successors(connection, after, limit)
            incomplete = await find_incomplete(connection, ids)
        if incomplete:
            async with self._database.begin() as connection:
                await complete(connection, incomplete)
        return ids[-1] if ids else None

    async def next_chats(self, selection: Selection, after: str, limit: int) -> list[str]:
        """Ids of the next chats to remove, in order: those after `after`."""
        query = (
            select(chats.c.id)
            .where(selection.chats(), chats.c.id > after)
            .order_by(chats.c.id)
            .limit(limit)
        )
        async with self._database.search() as connection:
            return list((await connection.scalars(query)).all())

    async def stop_answers(self, chat_ids: Sequence[str]) -> bool:
        """Requests a stop for the answers of these chats; returns whether any has not ended. Workers see it when they
        renew.
        """
        open_ones = select(answers.c.message_id).where(answers.c.chat_id.in_(chat_ids), IS_OPEN)
        async with self._database.read() as connection:
            ids = list((await connection.scalars(open_ones)).all())
        if not ids:
            return False
        async with self._database.begin() as connection:
            unwritten = locked_in_order(and_(answers.c.message_id.in_(ids), IS_UNWRITTEN))
            stopped = update(answers).where(answers.c.message_id.in_(unwritten))
            await connection.execute(stopped.values(ASK_TO_STOP))
        return True

    async def remove_chats(self, selection: Selection, chat_ids: Sequence[str]) -> int:
        """Removes these chats with everything that belongs to them, unless they have been used meanwhile."""
        async with self._database.begin() as connection:
            unused = delete(chats).where(chats.c.id.in_(chat_ids), selection.chats())
            return (await connection.execute(unused)).rowcount

    async def remove_requests(self, selection: Selection, limit: int) -> int:
        """Removes some of the chat requests that belong to no chat; returns 0 when there are no more."""
        ids = await self._some(questions.c.id, selection.requests(), limit)
        async with self._database.begin() as connection:
            await connection.execute(delete(questions).where(questions.c.id.in_(ids)))
            return len(ids)

    async def empty_messages(self, user: User, limit: int) -> int:
        """Removes the person from some of their messages in other people's chats; returns 0 when there are no more.

        Unwritten answers to them are stopped, and later ones that are being written.
        """
        ids = await self._some(messages.c.id, _own_messages(user), limit)
        later = exists().where(
            messages.c.id.in_(ids),
            messages.c.chat_id == answers.c.chat_id,
            messages.c.number < answers.c.number,
        )
        async with self._database.begin() as connection:
            # Answers before messages before chats: whoever stores a result locks them in this order.
            await lock_answers(connection, answers.c.question_id.in_(ids), and_(IS_RUNNING, later))
            asked = update(answers).where(answers.c.question_id.in_(ids))
            await connection.execute(asked.values(asker=None, asker_team=None))
            await connection.execute(asked.where(IS_UNWRITTEN).values(ASK_TO_STOP))
            await stop_running(connection, later)
            answered = select(answers.c.message_id).where(answers.c.question_id.in_(ids))
            await _forget_calls(connection, answered)
            await connection.execute(delete(attachments).where(attachments.c.message_id.in_(ids)))
            await _empty(connection, ids)
            await forget_summaries(connection, ids)
            await forget_titles(connection, ids, by=(TitleBy.MODEL, TitleBy.PERSON))
        if ids:
            async with self._database.begin() as connection:
                await stop_running(connection, later)
        return len(ids)

    async def forget_quotes_in_requests(self, user: User, limit: int) -> int:
        """Removes what other people's chat requests quote of the person; returns 0 when there are no more."""
        async with self._database.begin() as connection:
            return await forget_quotes_in_requests(connection, user.team, user.id, limit)

    async def anonymise_calls(self, selection: Selection, limit: int) -> int:
        """Removes people and chats from some rows of the ledger; returns 0 when there are no more."""
        named = and_(selection.calls(), ledger.c.user.is_not(None))
        ids = await self._some(ledger.c.id, named, limit)
        async with self._database.begin() as connection:
            these = update(ledger).where(ledger.c.id.in_(ids))
            await connection.execute(these.values(user=None, chat_id=None, answer_id=None))
            return len(ids)

    async def _some(
        self, ids: ColumnElement[str], where: ColumnElement[bool], limit: int
    ) -> list[str]:
        """Ids of some rows. Searching many rows takes long, so it is not part of a writing transaction."""
        async with self._database.search() as connection:
            return list(await connection.scalars(select(ids).where(where).limit(limit)))

    async def anonymise_days(self, selection: Selection, limit: int) -> int:
        """Moves some of the daily sums to nobody in particular; returns 0 when there are no more."""
        async with self._database.begin() as connection:
            return await anonymise_days(connection, selection.days(), limit)

    async def forget_traces(self, user: User, after: str, limit: int) -> str | None:
        """Removes, from the next chats of the workspace in order, what others' messages quote of the person, and the
        record that they stopped answers.

        Returns the id of the last of these chats; None when there are no more.
        """
        some = select(chats.c.id).where(chats.c.team == user.team, chats.c.id > after)
        async with self._database.search() as connection:
            ids = list(await connection.scalars(some.order_by(chats.c.id).limit(limit)))
            stopped = select(answers.c.message_id).where(
                answers.c.chat_id.in_(ids), answers.c.stopped_by == user.id
            )
            found = list(await connection.scalars(stopped))
            quoting = await find_quotes(connection, user.id, ids)
        if found:
            forgotten = update(answers).where(answers.c.message_id.in_(found))
            async with self._database.begin() as connection:
                await connection.execute(forgotten.values(stopped_by=None))
        if quoting is not None:
            async with self._database.begin() as connection:
                await forget_quotes(connection, quoting)
            async with self._database.begin() as connection:
                await stop_running(connection, quoting.answers())
        return ids[-1] if ids else None

    async def forget_person(self, user: User) -> None:
        """Removes everything else about the person, after their chats and messages."""
        async with self._database.begin() as connection:
            for table in (participants, people, api_tokens, feedback):
                own = delete(table).where(table.c.team == user.team, table.c.user == user.id)
                await connection.execute(own)
            in_team = select(chats.c.id).where(chats.c.team == user.team)
            granted = and_(tool_grants.c.user == user.id, tool_grants.c.chat_id.in_(in_team))
            await connection.execute(delete(tool_grants).where(granted))
            spent = and_(
                spending.c.team == user.team,
                spending.c.scope.in_(("user", "messages")),
                spending.c.subject == user.id,
            )
            await connection.execute(delete(spending).where(spent))
            changed = and_(
                channel_settings.c.team == user.team, channel_settings.c.changed_by == user.id
            )
            await connection.execute(update(channel_settings).where(changed).values(changed_by=""))
            installed = update(installations).where(
                installations.c.team == user.team, installations.c.installed_by == user.id
            )
            await connection.execute(installed.values(installed_by=None))


async def _forget_calls(connection: AsyncConnection, answered: Select[Any]) -> None:
    """Removes the calls of these answers. Calls of unwritten answers are only emptied, and so are the messages that ask
    about them.
    """
    unwritten = tool_calls.c.answer_id.in_(answered.where(IS_UNWRITTEN))
    of_unwritten = select(tool_calls.c.id).where(unwritten)
    await connection.execute(delete(tool_pictures).where(tool_pictures.c.call_id.in_(of_unwritten)))
    await connection.execute(update(tool_calls).where(unwritten).values(EMPTY_CALL))
    of_written = tool_calls.c.answer_id.in_(answered.where(not_(IS_UNWRITTEN)))
    await connection.execute(delete(tool_calls).where(of_written))
    steps = update(answer_steps).where(answer_steps.c.message_id.in_(answered))
    await connection.execute(steps.values(detail=""))


async def _empty(connection: AsyncConnection, message_ids: Sequence[str]) -> None:
    """Locks the messages in the same order as `storage.summaries`, to prevent deadlocks."""
    these = messages.c.id.in_(message_ids)
    in_order = select(messages.c.id).where(these).order_by(messages.c.id)
    await connection.execute(in_order.with_for_update(key_share=True))
    await connection.execute(update(messages).where(these).values(_EMPTY_MESSAGE))


def _own_messages(user: User) -> ColumnElement[bool]:
    """The person's messages in the chats in which they took part, and in branches, which repeat such chats."""
    took_part = select(participants.c.chat_id).where(
        participants.c.team == user.team, participants.c.user == user.id
    )
    branches = select(chats.c.id).where(chats.c.team == user.team, chats.c.branch_of.is_not(None))
    return and_(messages.c.author == user.id, messages.c.chat_id.in_(union(took_part, branches)))


def _counts(selection: Selection) -> dict[str, Select[int]]:
    """For each table, a query that counts."""
    of_chats = select(chats.c.id).where(selection.chats())
    of_messages = select(messages.c.id).where(messages.c.chat_id.in_(of_chats))
    wanted: dict[str, Select[int]] = {
        "chats": _count(chats.c.id, selection.chats()),
        "questions": _count(questions.c.id, selection.requests()),
    }
    for table in (messages, answers, summaries, participants, tool_calls, tool_grants):
        wanted[table.name] = _count(table.c.chat_id, table.c.chat_id.in_(of_chats))
    for table in (answer_steps, attachments, chores, feedback):
        wanted[table.name] = _count(table.c.message_id, table.c.message_id.in_(of_messages))
    of_calls = select(tool_calls.c.id).where(tool_calls.c.chat_id.in_(of_chats))
    returned = tool_pictures.c.call_id
    wanted["tool_pictures"] = _count(returned, returned.in_(of_calls))
    if (user := selection.user) is not None:
        for table in (people, api_tokens):
            own = and_(table.c.team == user.team, table.c.user == user.id)
            wanted[table.name] = _count(table.c.team, own)
        wanted["messages of others' chats"] = _count(
            messages.c.id, and_(_own_messages(user), messages.c.chat_id.not_in(of_chats))
        )
        installed = and_(installations.c.team == user.team, installations.c.installed_by == user.id)
        wanted["ledger"] = _count(ledger.c.id, selection.calls())
        wanted["installations"] = _count(installations.c.team, installed)
    return wanted


def _count(column: ColumnElement[str], where: ColumnElement[bool]) -> Select[int]:
    return select(func.count(column)).where(where)
