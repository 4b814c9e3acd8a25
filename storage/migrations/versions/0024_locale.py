"""Store with each person the locale that they have chosen in Slack."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("locale", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("people", "locale")
