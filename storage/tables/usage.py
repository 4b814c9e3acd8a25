"""What model calls used, and what is left of the limits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import ID, metadata

ledger = Table(
    "ledger",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("team", String(64), nullable=False),
    Column("user", String(64)),
    Column("channel", String(64)),
    Column("chat_id", ID),
    Column("answer_id", ID),
    Column("kind", String(16), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("model", SafeText, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("error", String(64)),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("cost", Float),
    Column("estimated_tokens", Integer),
    Column("estimated_cost", Float),
    Column("seconds", Float),
    Index("ix_ledger_team_at", "team", "at"),
    Index("ix_ledger_team_user", "team", "user"),
)
"""Every model call. No keys to chats, because a row outlives its chat."""

usage_days = Table(
    "usage_days",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("model", SafeText, primary_key=True),
    Column("answers", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("untold", Integer, nullable=False),
    Column("unpriced", Integer, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost", Float, nullable=False),
    Column("estimated_tokens", BigInteger, nullable=False, server_default="0"),
    Column("estimated_cost", Float, nullable=False, server_default="0"),
    Index("ix_usage_days_day", "day", "team"),
)
"""The ledger's sums by user, day, channel and model; `user` and `channel` are empty if the ledger has none.

`untold`: calls whose provider reported no tokens; `unpriced`: calls without a reported cost. `estimated_…`: estimates
of what was not reported, not part of the other columns.
"""

spending = Table(
    "spending",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("scope", String(16), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("period", String(16), primary_key=True),
    Column("begins", UtcTime, primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("cost", Float, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("warned", Boolean, nullable=False),
    Index("ix_spending_begins", "begins"),
)
"""What one user, channel or workspace has used of a limit in one period; `held`: for its answers in progress."""
