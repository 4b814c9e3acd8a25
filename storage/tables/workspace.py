"""Workspaces: where the app is installed, and their settings."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import metadata

installations = Table(
    "installations",
    metadata,
    Column("enterprise", String(64), primary_key=True),
    Column("team", String(64), primary_key=True),
    Column("bot_user", String(64), nullable=False),
    Column("bot_id", String(64)),
    Column("bot_token", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("installed_by", String(64)),
    Column("installed_at", UtcTime, nullable=False),
    Index("ix_installations_team", "team"),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("enterprise", String(64), nullable=False),
)

channel_settings = Table(
    "channel_settings",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("instructions", SafeText, nullable=False),
    Column("default_model", SafeText),
    Column("skip_menu", Boolean, nullable=False),
    Column("tools", SafeText),
    Column("changed_by", String(64), nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)
