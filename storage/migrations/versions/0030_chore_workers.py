"""Keep who does a chore, so that what a dead process was doing is taken up at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chores", sa.Column("worker", sa.String(128), nullable=True))


def downgrade() -> None:
    op.drop_column("chores", "worker")
