"""The tables, one module per subject. Alembic's migrations create them, and a test compares the two."""

from __future__ import annotations

from storage.tables.answer import (
    IS_HELD,
    IS_OPEN,
    IS_RUNNING,
    IS_SHOWING,
    IS_UNWRITTEN,
    IS_WAITING,
    answer_steps,
    answers,
    chores,
    feedback,
)
from storage.tables.base import ID, metadata
from storage.tables.chat import IS_LISTED, attachments, chats, messages, participants, summaries
from storage.tables.person import api_tokens, people
from storage.tables.process import done_once, models_without_system_role
from storage.tables.request import questions
from storage.tables.tool import tool_calls, tool_grants, tool_pictures
from storage.tables.usage import ledger, spending, usage_days
from storage.tables.workspace import channel_settings, installations, workspaces

__all__ = [
    "ID",
    "IS_HELD",
    "IS_LISTED",
    "IS_OPEN",
    "IS_RUNNING",
    "IS_SHOWING",
    "IS_UNWRITTEN",
    "IS_WAITING",
    "answer_steps",
    "answers",
    "api_tokens",
    "attachments",
    "channel_settings",
    "chats",
    "chores",
    "done_once",
    "feedback",
    "installations",
    "ledger",
    "messages",
    "metadata",
    "models_without_system_role",
    "participants",
    "people",
    "questions",
    "spending",
    "summaries",
    "tool_calls",
    "tool_grants",
    "tool_pictures",
    "usage_days",
    "workspaces",
]
