"""Keep estimates of what calls used if their provider reported nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("estimated_tokens", sa.Integer()))
    op.add_column("ledger", sa.Column("estimated_cost", sa.Float()))
    for name, kind in (("estimated_tokens", sa.BigInteger()), ("estimated_cost", sa.Float())):
        op.add_column("usage_days", sa.Column(name, kind, nullable=False, server_default="0"))


def downgrade() -> None:
    for table in ("usage_days", "ledger"):
        op.drop_column(table, "estimated_cost")
        op.drop_column(table, "estimated_tokens")
