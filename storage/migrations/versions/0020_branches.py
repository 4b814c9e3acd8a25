"""Store which question a chat asks another model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chats", sa.Column("branch_of", sa.String(32), nullable=True))
    op.create_index("uq_chats_branch", "chats", ["branch_of", "provider", "model"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_chats_branch", "chats")
    op.drop_column("chats", "branch_of")
