"""Keep which answers waited together with others of their chat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("answers", sa.Column("among_several", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("answers", "among_several")
