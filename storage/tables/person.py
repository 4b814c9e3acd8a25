"""People: their preferences and their tokens."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import metadata

people = Table(
    "people",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("name", SafeText),
    Column("locale", String(64)),
    Column("default_model", SafeText),
    Column("last_model", SafeText),
    Column("always", Boolean, nullable=False),
    Column("web_search", Boolean),
    Column("effort", String(16)),
    Column("updated_at", UtcTime, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("team", String(64), nullable=False),
    Column("user", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Index("ix_api_tokens_person", "team", "user"),
)
