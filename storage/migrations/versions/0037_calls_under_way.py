"""Keep which call of a model each answer makes, so that one that a kill cuts off can be counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answers", sa.Column("call", sa.String(32)))
    op.add_column("answers", sa.Column("call_tokens", sa.Integer()))


def downgrade() -> None:
    op.drop_column("answers", "call_tokens")
    op.drop_column("answers", "call")
