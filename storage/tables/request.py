"""Questions whose chat does not exist yet."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, UniqueConstraint

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import ID, message_key, metadata

questions = Table(
    "questions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("team", String(64), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("thread", String(64), nullable=False),
    Column("ts", String(64), nullable=False),
    Column("user", String(64), nullable=False),
    Column("user_team", String(64)),
    Column("user_name", SafeText),
    Column("text", SafeText),
    Column("source", String(64)),
    Column("files", SafeText),
    Column("context", SafeText),
    Column("context_files", SafeText),
    Column("said_until", String(64)),
    Column("read_until", String(64)),
    Column("said_since", SafeText),
    Column("quoted", SafeText),
    Column("model", SafeText),
    Column("web_search", Boolean),
    Column("effort", String(16)),
    Column("menu_ts", String(64)),
    Column("offered_again_at", UtcTime),
    Column("state", String(16), nullable=False),
    Column("message_id", ID, message_key()),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("team", "channel", "ts"),
    Index("ix_questions_thread", "team", "channel", "thread", "user"),
    Index("ix_questions_state", "state", "created_at"),
    Index("ix_questions_message_id", "message_id"),
)
"""`offered_again_at`: when a menu was posted in place of a dead process's, which may have appeared since; null once
there is no second one.
"""
_OFFERED_AGAIN = questions.c.offered_again_at.is_not(None)
Index(
    "ix_questions_offered_again",
    questions.c.offered_again_at,
    sqlite_where=_OFFERED_AGAIN,
    postgresql_where=_OFFERED_AGAIN,
)
