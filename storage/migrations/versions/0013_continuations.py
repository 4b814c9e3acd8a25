"""Store which chat another one continues."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chats", sa.Column("continues", sa.String(32), nullable=True))
    op.create_index("uq_chats_continues", "chats", ["continues"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_chats_continues", "chats")
    op.drop_column("chats", "continues")
