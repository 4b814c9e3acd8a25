"""Keep which menus were posted again after a kill, so that a second one is removed although that process is killed too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.engine.types import UtcTime

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("questions", sa.Column("offered_again_at", UtcTime(), nullable=True))
    again = sa.text("offered_again_at IS NOT NULL")
    op.create_index(
        "ix_questions_offered_again",
        "questions",
        ["offered_again_at"],
        sqlite_where=again,
        postgresql_where=again,
    )


def downgrade() -> None:
    op.drop_index("ix_questions_offered_again", "questions")
    op.drop_column("questions", "offered_again_at")
