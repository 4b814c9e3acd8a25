"""Store what is left to do for an answer besides its text, and a retry that is pressed before its failure is shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "answers",
        sa.Column("retry_requested", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "chores",
        sa.Column("message_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_chores_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", "kind", name=op.f("pk_chores")),
    )
    op.create_index("ix_chores_due_at", "chores", ["due_at"])


def downgrade() -> None:
    op.drop_table("chores")
    op.execute("UPDATE answers SET state = 'ended' WHERE state = 'showing'")
    op.drop_column("answers", "retry_requested")
