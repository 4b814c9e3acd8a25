"""Answers: the job of each assistant message, and what is left to do beside its text."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    false,
    literal_column,
    or_,
)

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import ID, chat_key, message_key, metadata

answers = Table(
    "answers",
    metadata,
    Column("message_id", ID, message_key(), primary_key=True),
    Column("chat_id", ID, chat_key(), nullable=False),
    Column("number", Integer, nullable=False),
    Column("question_id", ID, message_key(), nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", String(128)),
    Column("lease_until", UtcTime),
    Column("attempt", Integer, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("ending", String(16)),
    Column("detail", SafeText),
    Column("cut", Boolean, nullable=False),
    Column("parts", JSON, nullable=False),
    Column("stop_requested", Boolean, nullable=False),
    Column("stop_source", String(64)),
    Column("stopped_by", String(64)),
    Column("retry_requested", Boolean, nullable=False, server_default=false()),
    Column("queued", Boolean, nullable=False),
    Column("among_several", Boolean),
    Column("asker", String(64)),
    Column("asker_team", String(64)),
    Column("question_ts", String(64)),
    Column("model", SafeText, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost", Float),
    Column("seconds", Float),
    Column("cached_tokens", Integer),
    Column("estimated_tokens", Integer),
    Column("summarised", Integer),
    Column("omitted", Integer),
    Column("pictures", Integer),
    Column("admitted_at", UtcTime),
    Column("budget_notice", SafeText),
    Column("trace", String(64)),
    Column("refusal", String(64)),
    Column("parked", Boolean),
    Column("call", ID),
    Column("call_tokens", Integer),
    Column("call_cost", Float),
)
"""The job of each assistant message. `state` is waiting, running, showing or ended (see `storage.answers`).

`call`: the id of its current or last model call; `call_tokens` and `call_cost`: our estimate of what that has used.
`parked`: it is running without a worker until somebody decides about a tool call (`storage.tool_calls`).
"""

IS_RUNNING = answers.c.state == literal_column("'running'")
IS_WAITING = answers.c.state == literal_column("'waiting'")
IS_SHOWING = answers.c.state == literal_column("'showing'")
IS_HELD = or_(IS_RUNNING, IS_SHOWING)
"""A worker holds it under a lease."""
IS_UNWRITTEN = or_(IS_WAITING, IS_RUNNING)
"""Its text is not complete."""
IS_OPEN = answers.c.state != literal_column("'ended'")
# Literals, not parameters: only then do both planners see that the partial indexes below apply.

Index(
    "uq_answers_running",
    answers.c.chat_id,
    unique=True,
    sqlite_where=IS_RUNNING,
    postgresql_where=IS_RUNNING,
)
Index(
    "ix_answers_open",
    answers.c.chat_id,
    answers.c.number,
    sqlite_where=IS_OPEN,
    postgresql_where=IS_OPEN,
)
Index("ix_answers_question_id", answers.c.question_id)
Index("ix_answers_chat_id", answers.c.chat_id)

answer_steps = Table(
    "answer_steps",
    metadata,
    Column("message_id", ID, message_key(), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", SafeText, nullable=False),
    Column("status", String(16), nullable=False),
    Column("seconds", Float),
    Column("detail", SafeText, nullable=False),
)
"""What an answer's model did besides writing, in its last attempt that has ended (see `storage.statements.steps`)."""

chores = Table(
    "chores",
    metadata,
    Column("message_id", ID, message_key(), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("due_at", UtcTime, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("worker", String(128)),
    Index("ix_chores_due_at", "due_at"),
)
"""What is left to do for an answer besides its text: a row for each `Chore` (see `storage.chores`).

`worker`: who is doing it now; null if nobody is.
"""
_CLAIMED = chores.c.worker.is_not(None)
Index("ix_chores_worker", chores.c.worker, sqlite_where=_CLAIMED, postgresql_where=_CLAIMED)

feedback = Table(
    "feedback",
    metadata,
    Column("message_id", ID, message_key(), primary_key=True),
    Column("team", String(64), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("value", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)
