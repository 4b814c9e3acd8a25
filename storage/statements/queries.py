"""The statements that run for every message and every answer. They are built once, because building costs as much as
running.

An UPDATE without `values` sets the columns whose names are among its parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Double,
    Select,
    Table,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    true,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import Role, Status
from storage.engine.types import database_time
from storage.statements.rows import select_answers
from storage.tables import (
    IS_HELD,
    IS_OPEN,
    IS_SHOWING,
    IS_WAITING,
    answers,
    attachments,
    chats,
    messages,
    participants,
    questions,
)


def dialect_insert(connection: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that supports ON CONFLICT, in this database's dialect."""
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)


LEASE_LAPSED = and_(IS_HELD, answers.c.lease_until <= database_time())
"""The lease has expired, and any worker may claim the answer."""

_OTHER = answers.alias("other")
OTHER_IS_RUNNING = (
    exists()
    .where(_OTHER.c.chat_id == answers.c.chat_id, _OTHER.c.state == "running")
    .correlate(answers)
)
"""Whether another answer of the same chat is running."""
_FOLLOWS_UNSHOWN = (
    exists()
    .where(
        _OTHER.c.chat_id == answers.c.chat_id,
        _OTHER.c.state == "showing",
        _OTHER.c.number < answers.c.number,
    )
    .correlate(answers)
)
"""Whether an earlier answer of the same chat is not completely visible yet."""
_IN_SLACK = (
    exists().where(chats.c.id == answers.c.chat_id, chats.c.thread.is_not(None)).correlate(answers)
)
_STOP_HIDDEN = (
    exists()
    .where(chats.c.id == answers.c.chat_id, chats.c.stop_shown == false())
    .correlate(answers)
)

SELECT_CHAT = select(chats).where(chats.c.id == bindparam("chat"))

_HAS_OPEN_REQUEST = exists().where(
    questions.c.team == bindparam("team"),
    questions.c.channel == bindparam("channel"),
    questions.c.thread == bindparam("thread"),
    questions.c.user == bindparam("user"),
    questions.c.state == "open",
)
_IN_THREAD = and_(
    chats.c.team == bindparam("team"),
    chats.c.channel == bindparam("channel"),
    chats.c.thread == bindparam("thread"),
)
SELECT_CHAT_BY_THREAD = select(chats).where(_IN_THREAD)
_ANY_OPEN_REQUEST = exists().where(
    questions.c.team == bindparam("team"),
    questions.c.channel == bindparam("channel"),
    questions.c.thread == bindparam("thread"),
    questions.c.state == "open",
)
SELECT_CHAT_AND_OPEN_REQUEST = select(
    chats,
    _HAS_OPEN_REQUEST.label("has_open_request"),
    _ANY_OPEN_REQUEST.label("any_open_request"),
).select_from(select(literal(1).label("one")).subquery().outerjoin(chats, _IN_THREAD))
"""The chat of a thread, if there is one, and whether this user or anybody has an open chat request there: one row."""

SELECT_MESSAGE_BY_SOURCE = select(messages).where(
    messages.c.chat_id == bindparam("chat"), messages.c.source == bindparam("source")
)
"""The message that a chat stored under a source."""

COUNT_AUTHORS = select(func.count(messages.c.author.distinct())).where(
    messages.c.chat_id == bindparam("chat")
)

_HAS_IMAGES = exists().where(attachments.c.message_id == messages.c.id)
_HAS_CONTENT = and_(
    messages.c.status.in_((Status.DONE, Status.STOPPED)),
    or_(messages.c.text != "", _HAS_IMAGES),
)
"""An answer that later questions build on."""
SELECT_HISTORY = (
    select(messages, _HAS_IMAGES.label("has_images"))
    .where(
        messages.c.chat_id == bindparam("chat"),
        messages.c.number < bindparam("before"),
        or_(messages.c.role == Role.USER, _HAS_CONTENT),
    )
    .order_by(messages.c.number)
)
"""What a model is sent before it writes message number `before`: without failed, empty or unfinished answers."""
SELECT_UNANSWERED = (
    select(messages, answers.c.question_id)
    .join(answers, answers.c.message_id == messages.c.id)
    .where(
        messages.c.chat_id == bindparam("chat"),
        messages.c.number < bindparam("before"),
        not_(_HAS_CONTENT),
    )
)
"""The answers that `SELECT_HISTORY` leaves out, with the ids of their questions."""

SELECT_ANSWER_TO_CLAIM = (
    select(
        answers.c.message_id,
        answers.c.state,
        answers.c.owner,
        answers.c.queued,
        _FOLLOWS_UNSHOWN.label("follows_unshown"),
        _IN_SLACK.label("in_slack"),
        _STOP_HIDDEN.label("stop_hidden"),
    )
    .where(
        answers.c.chat_id == bindparam("chat"),
        IS_OPEN,
        or_(LEASE_LAPSED, and_(IS_WAITING, ~OTHER_IS_RUNNING)),
    )
    .order_by(case((IS_WAITING, 1), else_=0), answers.c.number)
    .limit(1)
)
"""The answer of a chat to claim next: one whose lease has lapsed, else the oldest waiting one if none is running."""

CLAIM_ANSWER = (
    update(answers)
    .where(answers.c.message_id == bindparam("answer"), or_(IS_WAITING, LEASE_LAPSED))
    .values(
        state=case((IS_SHOWING, "showing"), else_="running"),
        owner=bindparam("worker"),
        lease_until=database_time(bindparam("lease", type_=Double)),
        attempt=answers.c.attempt + 1,
        parked=false(),
    )
)
"""Leases an answer to `worker` for `lease` seconds, unless another worker was faster."""
UPDATE_OWNED = update(answers).where(
    answers.c.message_id == bindparam("answer"), answers.c.owner == bindparam("worker"), IS_HELD
)
"""Changes an answer that `worker` still holds."""


def locked_in_order(where: ColumnElement[bool]) -> Select[str]:
    """Ids of answers, which it locks in their order, as all do that change those of several chats, to prevent
    deadlocks.
    """
    # Not the column itself: to read in its order, SQLite would read all answers.
    order = func.coalesce(answers.c.message_id, "")
    ids = select(answers.c.message_id).where(where).order_by(order)
    return ids.with_for_update(key_share=True).correlate(None)


async def lock_answers(
    connection: AsyncConnection, *conditions: ColumnElement[bool]
) -> Sequence[str]:
    """Locks the answers that meet one of the conditions; returns their ids."""
    found = (select(answers.c.message_id).where(each).correlate(None) for each in conditions)
    ids = (await connection.scalars(union(*found))).all()
    these = and_(answers.c.message_id.in_(ids), or_(*conditions))
    return (await connection.scalars(locked_in_order(these))).all()


ASK_TO_STOP = {
    "stop_requested": True,
    "lease_until": case((answers.c.parked == true(), database_time()), else_=answers.c.lease_until),
}
"""What an UPDATE sets to stop unwritten answers; a parked one, which no worker holds, may then be claimed."""
STORE_RESULT = UPDATE_OWNED.returning(
    answers.c.chat_id, answers.c.asker, answers.c.admitted_at, answers.c.stopped_by
)
FINISH_ANSWER = UPDATE_OWNED.where(answers.c.complete).returning(answers.c.retry_requested)
UPDATE_MESSAGE = update(messages).where(messages.c.id == bindparam("message"))
UPDATE_CHAT = update(chats).where(chats.c.id == bindparam("chat"))
TOUCH_CHAT = UPDATE_CHAT.returning(*chats.c)

INSERT_MESSAGE = insert(messages)
INSERT_PARTICIPANT = {
    "postgresql": postgresql.insert(participants).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(participants).on_conflict_do_nothing(),
}
"""Per dialect: adds a participant, who may already be one."""
_PRESENT = or_(participants.c.user == bindparam("author"), participants.c.away == false())
TOUCH_PARTICIPANTS = (
    update(participants)
    .where(participants.c.chat_id == bindparam("chat"))
    .values(active_at=bindparam("now"), away=case((_PRESENT, false()), else_=true()))
)
"""Moves a chat to the top of all its participants' lists. Its author counts as present, whatever was stored before."""

_EARLIER = answers.alias("earlier")
INSERT_ANSWER = (
    insert(answers)
    .values(
        queued=select(
            exists().where(
                _EARLIER.c.chat_id == bindparam("chat"),
                _EARLIER.c.state.in_(("waiting", "running")),
            )
        ).scalar_subquery()
    )
    .returning(answers.c.queued)
)
"""Adds an answer and returns whether it is queued behind another one of its chat."""
RESERVE_PAIR = (
    update(chats)
    .where(chats.c.id == bindparam("chat"), chats.c.message_count + 2 <= bindparam("limit"))
    .values(message_count=chats.c.message_count + 2)
    .returning(*chats.c)
)
"""Counts two more messages, if `limit` allows them."""

SELECT_ANSWER = select_answers().where(answers.c.message_id == bindparam("answer"))
SELECT_NEXT_WAITING = (
    select_answers()
    .where(IS_WAITING, answers.c.chat_id == bindparam("chat"))
    .order_by(answers.c.number)
    .limit(1)
)
