"""Store the files that people share with their message; they are downloaded when its answer starts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("files", sa.Text(), nullable=True))
    op.add_column("questions", sa.Column("files", sa.Text(), nullable=True))
    op.drop_table("question_images")


def downgrade() -> None:
    op.create_table(
        "question_images",
        sa.Column("question_id", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mime", sa.String(length=128), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["question_id"],
            ["questions.id"],
            name=op.f("fk_question_images_question_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("question_id", "position", name=op.f("pk_question_images")),
    )
    op.drop_column("questions", "files")
    op.drop_column("messages", "files")
