"""Store which Slack message asked for a stop, so that a second delivery of it does not become a question."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answers", sa.Column("stop_source", sa.String(length=64), nullable=True))
    op.create_index("ix_answers_chat_id", "answers", ["chat_id"])


def downgrade() -> None:
    op.drop_index("ix_answers_chat_id", table_name="answers")
    op.drop_column("answers", "stop_source")
