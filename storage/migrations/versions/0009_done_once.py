"""Remember which presses were handled and which notices were posted, so that replicas act once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "done_once",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kept_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_done_once")),
    )
    op.create_index("ix_done_once_kept_until", "done_once", ["kept_until"])


def downgrade() -> None:
    op.drop_table("done_once")
