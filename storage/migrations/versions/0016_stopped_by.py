"""Keep who stopped an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answers", sa.Column("stopped_by", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("answers", "stopped_by")
