"""Finds out whether a transaction with an unanswered COMMIT took effect, by asking PostgreSQL about its id.

That needs no session: any other connection may ask, behind a transaction pooler too. A server that crashes, or another
that takes over, may lose the last transactions and give out their ids again. So nobody asks a server that said that it
goes down, or is found to be down meanwhile. A crash or failover that nobody notices in this way, and that loses
commits, may still lead to a wrong answer.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

TRANSACTION = "transaction"
"""The key of the transaction's id in the information about a connection; missing or None if none can be asked."""
IDENTIFY = "SELECT txid_current()"
"""Returns the id. Because of it, the commit of a transaction that writes nothing writes a record too, but does not wait
until it is on disk.
"""
_STATUS = text("SELECT txid_status(:transaction)").bindparams(
    bindparam("transaction", type_=BigInteger)
)


class CommitOutcome(StrEnum):
    """The state of a transaction, in PostgreSQL's terms; or unknown, because the server must not be asked."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    IN_PROGRESS = "in progress"
    UNKNOWN = "unknown"


async def outcome_of(connection: AsyncConnection, transaction: int) -> CommitOutcome:
    """A transaction that the server no longer knows counts as aborted."""
    status = await connection.scalar(_STATUS, {"transaction": transaction})
    return CommitOutcome.ABORTED if status is None else CommitOutcome(status)
