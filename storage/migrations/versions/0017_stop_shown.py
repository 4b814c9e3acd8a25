"""Keep whether a chat's header has a Stop button."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chats", sa.Column("stop_shown", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("chats", "stop_shown")
