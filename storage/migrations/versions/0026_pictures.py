"""Store how many pictures an answer has, and which file in Slack shows each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answers", sa.Column("pictures", sa.Integer(), nullable=True))
    op.add_column("attachments", sa.Column("slack_file", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("attachments", "slack_file")
    op.drop_column("answers", "pictures")
