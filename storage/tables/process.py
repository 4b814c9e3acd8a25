"""What processes remember for one another."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import ID, metadata

done_once = Table(
    "done_once",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("kept_until", UtcTime, nullable=False),
    Column("owner", ID),
    Index("ix_done_once_kept_until", "kept_until"),
)
"""Actions that some replica has done or is doing, so that no other does them too (see `storage.action_claims`).

`owner`: the process that claimed it; null for a claim of an earlier version.
"""

models_without_system_role = Table(
    "models_without_system_role",
    metadata,
    Column("provider", String(64), primary_key=True),
    Column("model", SafeText, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)
"""Models whose server has refused a system message."""
