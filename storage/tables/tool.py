"""Tool calls, and the approvals that are valid for a whole chat."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import ID, chat_key, message_key, metadata

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("id", ID, primary_key=True),
    Column("answer_id", ID, message_key(), nullable=False),
    Column("chat_id", ID, chat_key(), nullable=False),
    Column("round", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("said", SafeText, nullable=False),
    Column("round_extra", SafeText, nullable=False),
    Column("call_id", SafeText, nullable=False),
    Column("name", SafeText, nullable=False),
    Column("path", SafeText, nullable=False),
    Column("pin", String(64), nullable=False),
    Column("repeatable", Boolean, nullable=False),
    Column("arguments", SafeText, nullable=False),
    Column("arguments_hash", String(64), nullable=False),
    Column("extra", SafeText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("result", SafeText, nullable=False),
    Column("seconds", Float),
    Column("asker", String(64)),
    Column("asked", Boolean, nullable=False),
    Column("decided_by", String(64)),
    Column("stopped", Boolean),
    Column("notice_ts", String(64)),
    Column("notice_state", String(16)),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("uq_tool_calls_place", "answer_id", "round", "number", unique=True),
    Index("ix_tool_calls_chat_id", "chat_id"),
)
"""One row for each call that a model requested; `state` is a `CallState`.

`said` is what the model wrote before its turn's calls; `updated_at` is when it entered its state.
"""

tool_pictures = Table(
    "tool_pictures",
    metadata,
    Column("call_id", ID, ForeignKey("tool_calls.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", SafeText, nullable=False),
    Column("mime", String(128), nullable=False),
    Column("data", LargeBinary, nullable=False),
)
"""The pictures that calls have returned, in the form that models are sent."""

tool_grants = Table(
    "tool_grants",
    metadata,
    Column("chat_id", ID, chat_key(), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("pin", String(64), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)
"""Tool definitions that a person has allowed for all their questions in a chat."""
