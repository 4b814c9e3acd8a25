"""Keep the list price of calls in progress, so that one that a kill cuts off counts in budgets in US dollars."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answers", sa.Column("call_cost", sa.Float()))


def downgrade() -> None:
    op.drop_column("answers", "call_cost")
