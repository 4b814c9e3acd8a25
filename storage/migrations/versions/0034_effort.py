"""Keep how much a model is to reason with a chat and a question, and with people what goes along with their model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("chats", "questions", "people"):
        op.add_column(table, sa.Column("effort", sa.String(16), nullable=True))
    op.add_column("people", sa.Column("web_search", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("people", "web_search")
    for table in ("people", "questions", "chats"):
        op.drop_column(table, "effort")
