"""What all tables share: their registry, ids, and keys to the rows they belong to."""

from __future__ import annotations

from sqlalchemy import ForeignKey, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = String(32)


def chat_key() -> ForeignKey:
    return ForeignKey("chats.id", ondelete="CASCADE")


def message_key() -> ForeignKey:
    return ForeignKey("messages.id", ondelete="CASCADE")
