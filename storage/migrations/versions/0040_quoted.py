"""Keep whose words are quoted in threads that were read, in summaries of earlier chats, and in other people's
questions.

After the indexes: the locks of these changes are held until the migrations are committed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_TABLES = ("messages", "questions", "chats")
"""In the order in which writers lock their rows, to prevent deadlocks with processes of the version before."""


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("quoted", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "quoted")
