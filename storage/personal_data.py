"""Personal data besides a person's chats, for a complete export.

`SECTIONS`, `IN_CHATS` and `EXEMPT` name every table: a test compares them with the existing tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select

from bot.domain import User
from storage.engine.database import Database
from storage.tables import api_tokens, chats, feedback, people, questions, tool_grants, usage_days

SECTIONS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "preferences": (
        people.c.locale,
        people.c.default_model,
        people.c.last_model,
        people.c.always,
        people.c.web_search,
        people.c.effort,
        people.c.updated_at,
    ),
    "tokens": (
        api_tokens.c.created_at,
        api_tokens.c.last_used_at,
        api_tokens.c.expires_at,
        api_tokens.c.revoked_at,
    ),
    "requests": (
        questions.c.channel,
        questions.c.thread,
        questions.c.text,
        questions.c.said_since,
        questions.c.context,
        questions.c.model,
        questions.c.state,
        questions.c.created_at,
    ),
    "ratings": (feedback.c.message_id, feedback.c.value, feedback.c.updated_at),
    "allowedTools": (tool_grants.c.chat_id, tool_grants.c.pin, tool_grants.c.created_at),
    "usage": tuple(column for column in usage_days.c if column.name not in ("team", "user")),
}
"""The columns of a table, by the name of its section in the export."""
IN_CHATS = frozenset(
    {"chats", "messages", "answers", "answer_steps", "attachments", "tool_calls", "participants"}
)
"""Tables whose rows are part of the exported chats."""
EXEMPT = {
    "ledger": "summed up in the usage",
    "spending": "counted from the ledger",
    "summaries": "written by models from the chats",
    "chores": "what is left to do",
    "tool_pictures": "the servers', not the person's; the calls say that there are some",
    "channel_settings": "the workspace's",
    "installations": "the workspace's",
    "workspaces": "names workspaces and organisations",
    "done_once": "digests, which expire within two days",
    "models_without_system_role": "names models",
}
"""Tables from which nothing is exported, and why."""


class PersonalData:
    """The repository of personal data. Raises StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def section(self, user: User, name: str) -> list[dict[str, Any]]:
        """The rows of a section, by column."""
        async with self._database.search() as connection:
            rows = await connection.execute(_query(user, SECTIONS[name]))
            return [dict(row._mapping) for row in rows]


def _query(user: User, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    table = columns[0].table
    if "team" in table.c:
        return select(*columns).where(table.c.team == user.team, table.c.user == user.id)
    in_team = and_(chats.c.id == table.c.chat_id, chats.c.team == user.team)
    return select(*columns).join(chats, in_team).where(table.c.user == user.id)
