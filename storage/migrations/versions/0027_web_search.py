"""Keep with a chat, and with a question before it, whether the web is to be searched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chats", sa.Column("web_search", sa.Boolean(), nullable=True))
    op.add_column("questions", sa.Column("web_search", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("questions", "web_search")
    op.drop_column("chats", "web_search")
