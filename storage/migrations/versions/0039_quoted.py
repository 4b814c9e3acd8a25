"""Keep whose words are quoted in threads that were read, in summaries of earlier chats, and in other people's
questions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

_TABLES = ("chats", "messages", "questions")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("quoted", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "quoted")
