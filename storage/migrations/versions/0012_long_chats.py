"""Store summaries of long chats, and what of a chat each answer was sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_COUNTS = ("cached_tokens", "estimated_tokens", "summarised", "omitted")


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("chat_id", sa.String(32), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("through", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["chats.id"], name="fk_summaries_chat_id_chats", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("chat_id", "since", "through", name="pk_summaries"),
    )
    for name in _COUNTS:
        op.add_column("answers", sa.Column(name, sa.Integer(), nullable=True))


def downgrade() -> None:
    for name in _COUNTS:
        op.drop_column("answers", name)
    op.drop_table("summaries")
