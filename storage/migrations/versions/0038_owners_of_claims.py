"""Keep who claimed an action, so that nobody gives back the claim of another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("done_once", sa.Column("owner", sa.String(32)))


def downgrade() -> None:
    op.drop_column("done_once", "owner")
