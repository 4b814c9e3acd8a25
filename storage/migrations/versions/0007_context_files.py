"""Store the files that people had shared in a thread before they mentioned the bot there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("questions", sa.Column("context_files", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("questions", "context_files")
