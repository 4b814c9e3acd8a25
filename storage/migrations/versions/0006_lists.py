"""Lists and searches of people with many chats, among very many chats of others.

The list's index covers what is counted. On PostgreSQL an index of trigrams finds rare words at once; it needs the
extension pg_trgm, which the database's owner may create. Where that is refused, searches read the person's own chats,
which is as right and slower for those who have thousands; once somebody has created the extension, the two statements
below make good for it.
"""

from __future__ import annotations

from contextlib import suppress

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Little may lie unsorted in the index: every search reads all of that.
TRIGRAMS = (
    "CREATE INDEX ix_messages_trigrams ON messages USING gin (text gin_trgm_ops) WITH (gin_pending_list_limit = 1024)",
    "CREATE INDEX ix_chats_trigrams ON chats USING gin (title gin_trgm_ops) WITH (gin_pending_list_limit = 1024)",
    # How frequent a word is, is estimated from a sample: a larger one tells rare from not so rare.
    "ALTER TABLE messages ALTER COLUMN text SET STATISTICS 500",
)


def upgrade() -> None:
    there = sa.text("NOT away")
    op.create_index(
        "ix_participants_shown",
        "participants",
        ["team", "user", "active_at", "chat_id"],
        sqlite_where=there,
        postgresql_where=there,
    )
    op.drop_index("ix_participants_list", table_name="participants")
    if op.get_context().dialect.name == "postgresql":
        with suppress(sa.exc.DBAPIError), op.get_bind().begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            for statement in TRIGRAMS:
                op.execute(statement)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP INDEX IF EXISTS ix_messages_trigrams")
        op.execute("DROP INDEX IF EXISTS ix_chats_trigrams")
    op.create_index("ix_participants_list", "participants", ["team", "user", "active_at", "chat_id"])
    op.drop_index("ix_participants_shown", table_name="participants")
