"""The tables. Alembic's migrations create them, and a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    literal_column,
    not_,
    or_,
)

from storage.engine.types import SafeText, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = String(32)


def _chat_key() -> ForeignKey:
    return ForeignKey("chats.id", ondelete="CASCADE")


def _message_key() -> ForeignKey:
    return ForeignKey("messages.id", ondelete="CASCADE")


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
    Column("continues", ID),
    Column("branch_of", ID),
    Column("instructions", SafeText),
    Column("stop_shown", Boolean),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("team", "channel", "thread"),
    Index("uq_chats_continues", "continues", unique=True),
    Index("uq_chats_branch", "branch_of", "provider", "model", unique=True),
)

messages = Table(
    "messages",
    metadata,
    Column("id", ID, primary_key=True),
    Column("chat_id", ID, _chat_key(), nullable=False),
    Column("number", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("text", SafeText, nullable=False),
    Column("status", String(16), nullable=False),
    Column("author", String(64)),
    Column("author_name", SafeText),
    Column("source", SafeText),
    Column("files", SafeText),
    Column("sources", SafeText),
    Column("error", String(64)),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("chat_id", "number"),
    UniqueConstraint("chat_id", "source"),
)

answers = Table(
    "answers",
    metadata,
    Column("message_id", ID, _message_key(), primary_key=True),
    Column("chat_id", ID, _chat_key(), nullable=False),
    Column("number", Integer, nullable=False),
    Column("question_id", ID, _message_key(), nullable=False),
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
    Column("admitted_at", UtcTime),
    Column("budget_notice", SafeText),
    Column("trace", String(64)),
)
"""The job of each assistant message. `state` is waiting, running, showing or ended (see `storage.answers`)."""

IS_RUNNING = answers.c.state == literal_column("'running'")
IS_WAITING = answers.c.state == literal_column("'waiting'")
IS_SHOWING = answers.c.state == literal_column("'showing'")
IS_HELD = or_(IS_RUNNING, IS_SHOWING)
"""A worker has it under a lease."""
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

summaries = Table(
    "summaries",
    metadata,
    Column("chat_id", ID, _chat_key(), primary_key=True),
    Column("since", Integer, primary_key=True),
    Column("through", Integer, primary_key=True),
    Column("text", SafeText, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("cost", Float),
    Column("created_at", UtcTime, nullable=False),
)
"""What a model wrote about the messages `since` to `through`. What that used is in the ledger by now."""

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
    Column("seconds", Float),
    Index("ix_ledger_team_at", "team", "at"),
    Index("ix_ledger_team_user", "team", "user"),
)
"""Every call of a model. No keys to chats, because a row outlives its chat."""

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
    Index("ix_usage_days_day", "day", "team"),
)
"""The ledger's sums by user, day, channel and model; `user` and `channel` are empty where the ledger has none.

`untold`: calls whose tokens are unknown; `unpriced`: those whose cost is.
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
)
"""What one user, channel or workspace has used of a limit in one period; `held`: its answers that have not ended."""

chores = Table(
    "chores",
    metadata,
    Column("message_id", ID, _message_key(), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("due_at", UtcTime, nullable=False),
    Column("tries", Integer, nullable=False),
    Index("ix_chores_due_at", "due_at"),
)
"""What is left to do for an answer besides its text: a row for each `Chore` (see `storage.chores`)."""

attachments = Table(
    "attachments",
    metadata,
    Column("message_id", ID, _message_key(), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", SafeText, nullable=False),
    Column("mime", String(128), nullable=False),
    Column("data", LargeBinary, nullable=False),
)

participants = Table(
    "participants",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("chat_id", ID, _chat_key(), primary_key=True),
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
_NOT_INDEXED = and_(_NOT_AWAY, not_(participants.c.indexed))
Index("ix_participants_shown", *_LISTED, sqlite_where=_NOT_AWAY, postgresql_where=_NOT_AWAY)
Index("ix_participants_plain", *_LISTED, sqlite_where=_NOT_INDEXED, postgresql_where=_NOT_INDEXED)
"""Which users have a chat in their lists. `active_at` is the time of the chat's newest message, copied here so that a
list is one index scan.

`away`: the user has left the chat's private channel and does not see the chat until they are back.
`indexed`: the chat's text is in `passages` for this user. Only PostgreSQL has that table; triggers maintain both.
"""

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
    Column("model", SafeText),
    Column("menu_ts", String(64)),
    Column("state", String(16), nullable=False),
    Column("message_id", ID, _message_key()),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("team", "channel", "ts"),
    Index("ix_questions_thread", "team", "channel", "thread", "user"),
    Index("ix_questions_state", "state", "created_at"),
    Index("ix_questions_message_id", "message_id"),
)

people = Table(
    "people",
    metadata,
    Column("team", String(64), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("name", SafeText),
    Column("default_model", SafeText),
    Column("last_model", SafeText),
    Column("always", Boolean, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("message_id", ID, _message_key(), primary_key=True),
    Column("team", String(64), primary_key=True),
    Column("user", String(64), primary_key=True),
    Column("value", Integer, nullable=False),
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
    Column("changed_by", String(64), nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

done_once = Table(
    "done_once",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("kept_until", UtcTime, nullable=False),
    Index("ix_done_once_kept_until", "kept_until"),
)
"""What some replica has done, or is at, so that no other does it too (see `storage.action_claims`)."""

models_without_system_role = Table(
    "models_without_system_role",
    metadata,
    Column("provider", String(64), primary_key=True),
    Column("model", SafeText, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)
"""Models whose server has refused a system message."""
