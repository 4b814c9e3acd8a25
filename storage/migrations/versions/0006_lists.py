"""Make lists fast for people with many chats in a large database: the list's index covers what is counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


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


def downgrade() -> None:
    op.create_index(
        "ix_participants_list", "participants", ["team", "user", "active_at", "chat_id"]
    )
    op.drop_index("ix_participants_shown", table_name="participants")
