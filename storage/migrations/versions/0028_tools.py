"""Keep calls of tools, what was decided about them, and which answers wait for a decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column(
            "answer_id",
            sa.String(32),
            sa.ForeignKey("messages.id", name="fk_tool_calls_answer_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "chat_id",
            sa.String(32),
            sa.ForeignKey("chats.id", name="fk_tool_calls_chat_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("said", "round_extra", "call_id", "name", "path")
        ),
        sa.Column("pin", sa.String(64), nullable=False),
        sa.Column("repeatable", sa.Boolean(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("arguments_hash", sa.String(64), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("asker", sa.String(64), nullable=True),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("decided_by", sa.String(64), nullable=True),
        sa.Column("notice_ts", sa.String(64), nullable=True),
        sa.Column("notice_state", sa.String(16), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index(
        "uq_tool_calls_place", "tool_calls", ["answer_id", "round", "number"], unique=True
    )
    op.create_index("ix_tool_calls_chat_id", "tool_calls", ["chat_id"])
    op.create_table(
        "tool_grants",
        sa.Column(
            "chat_id",
            sa.String(32),
            sa.ForeignKey("chats.id", name="fk_tool_grants_chat_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("user", sa.String(64), primary_key=True),
        sa.Column("pin", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.add_column("answers", sa.Column("parked", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("answers", "parked")
    op.drop_table("tool_grants")
    op.drop_table("tool_calls")
