"""Find the chat request of a message: removing a chat looks for it once for each of its messages."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_questions_message_id", "questions", ["message_id"])


def downgrade() -> None:
    op.drop_index("ix_questions_message_id", table_name="questions")
