"""Keep what is said in a thread between the mention and the choice of a model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = {"said_until": sa.String(64), "read_until": sa.String(64), "said_since": sa.Text()}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("questions", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("questions", name)
