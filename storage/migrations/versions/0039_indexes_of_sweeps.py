"""Find claimed chores, chats that are to get a thread, and what was counted long ago without reading whole tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    claimed = sa.text("worker IS NOT NULL")
    op.create_index(
        "ix_chores_worker", "chores", ["worker"], sqlite_where=claimed, postgresql_where=claimed
    )
    homeless = sa.text("thread IS NULL AND channel IS NOT NULL")
    op.create_index(
        "ix_chats_homeless",
        "chats",
        ["created_at"],
        sqlite_where=homeless,
        postgresql_where=homeless,
    )
    op.create_index("ix_spending_begins", "spending", ["begins"])


def downgrade() -> None:
    op.drop_index("ix_spending_begins", "spending")
    op.drop_index("ix_chats_homeless", "chats")
    op.drop_index("ix_chores_worker", "chores")
