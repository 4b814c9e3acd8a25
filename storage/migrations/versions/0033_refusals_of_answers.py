"""Keep why Slack does not let an answer be written, until its asker is told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answers", sa.Column("refusal", sa.String(64)))


def downgrade() -> None:
    op.drop_column("answers", "refusal")
