"""Keep with a channel which tools may be used there, and with a chat from which channel it has come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("channel_settings", sa.Column("tools", sa.Text(), nullable=True))
    op.add_column("chats", sa.Column("origin_channel", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("chats", "origin_channel")
    op.drop_column("channel_settings", "tools")
