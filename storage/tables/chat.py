"""Chats: what was said in them, what came with it, and who has them in their lists."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ColumnClause,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    and_,
    false,
    literal_column,
    not_,
)

from storage.engine.types import SafeText, UtcTime
from storage.tables.base import ID, chat_key, message_key, metadata

chats = Table(
    "chats",
    metadata,
    Column("id", ID, primary_key=True),
    Column("team", String(64), nullable=False),
    Column("channel", String(64)),
    Column("thread", String(64)),
    Column("owner", String(64), nullable=False),
    Column("title", SafeText, nullable=False),
    Column("title_by", String(16), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("model", SafeText, nullable=False),
    Column("message_count", Integer, nullable=False),
    Column("header_ts", String(64)),
    Column("context", SafeText),
    Column("quoted", SafeText),
    Column("continues", ID),
    Column("branch_of", ID),
    Column("instructions", SafeText),
    Column("web_search", Boolean),
    Column("effort", String(16)),
    Column("origin_channel", String(64)),
    Column("stop_shown", Boolean),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("team", "channel", "thread"),
    Index("uq_chats_continues", "continues", unique=True),
    Index("uq_chats_branch", "branch_of", "provider", "model", unique=True),
)

_WITHOUT_THREAD = and_(chats.c.thread.is_(None), chats.c.channel.is_not(None))
Index(
    "ix_chats_homeless",
    chats.c.created_at,
    sqlite_where=_WITHOUT_THREAD,
    postgresql_where=_WITHOUT_THREAD,
)
"""Chats that should get a thread in Slack."""

messages = Table(
    "messages",
    metadata,
    Column("id", ID, primary_key=True),
    Column("chat_id", ID, chat_key(), nullable=False),
    Column("number", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("text", SafeText, nullable=False),
    Column("status", String(16), nullable=False),
    Column("author", String(64)),
    Column("author_name", SafeText),
    Column("source", SafeText),
    Column("files", SafeText),
    Column("spoken", SafeText),
    Column("quoted", SafeText),
    Column("sources", SafeText),
    Column("error", String(64)),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("chat_id", "number"),
    UniqueConstraint("chat_id", "source"),
)

attachments = Table(
    "attachments",
    metadata,
    Column("message_id", ID, message_key(), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", SafeText, nullable=False),
    Column("mime", String(128), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("slack_file", String(64)),
)
"""The images of messages. `slack_file`: the file in Slack that shows a picture of an answer."""

summaries = Table(
    "summaries",
    metadata,
    Column("chat_id", ID, chat_key(), primary_key=True),
    Column("since", Integer, primary_key=True),
    Column("through", Integer, primary_key=True),
    Column("text", SafeText, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("cost", Float),
    Column("created_at", UtcTime, nullable=False),
)
"""What a model wrote about the messages `since` to `through`. The usage columns are unused: the ledger has replaced
them.
"""

participants = Table(
    "participants",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("chat_id", ID, chat_key(), primary_key=True),
    Column("active_at", UtcTime, nullable=False),
    Column("away", Boolean, nullable=False, server_default=false()),
    Column("indexed", Boolean, nullable=False, server_default=false()),
    Index("ix_participants_chat_id", "chat_id"),
)
_LISTED = (
    participants.c.team,
    participants.c.user,
    participants.c.active_at,
    participants.c.chat_id,
)
_NOT_AWAY = not_(participants.c.away)
IS_LISTED: ColumnClause[bool] = literal_column("NOT participants.away")
"""The chat is in the user's list. SQLite uses the partial indexes only if a query contains their condition word for
word; with a type, it would be written as a comparison.
"""
_NOT_INDEXED = and_(_NOT_AWAY, not_(participants.c.indexed))
Index("ix_participants_shown", *_LISTED, sqlite_where=_NOT_AWAY, postgresql_where=_NOT_AWAY)
Index("ix_participants_plain", *_LISTED, sqlite_where=_NOT_INDEXED, postgresql_where=_NOT_INDEXED)
"""Which users have a chat in their lists. `active_at` is the time of the chat's newest message, copied here so that a
list is one index scan.

`away`: the user has left the chat's private channel and does not see the chat until they are back.
`indexed`: the chat's text is in `passages` for this user. Only PostgreSQL has that table; triggers maintain both.
"""
