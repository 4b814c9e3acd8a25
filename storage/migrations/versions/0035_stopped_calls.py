"""Tell calls of tools that were stopped from those that nobody allowed in time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tool_calls", sa.Column("stopped", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("tool_calls", "stopped")
