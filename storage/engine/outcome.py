"""Finds out whether a transaction with an unanswered COMMIT took effect, by asking PostgreSQL about its id.

That needs no session: any other connection may ask, behind a transaction pooler and after a failover too.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

TRANSACTION = "transaction"
"""The key of the transaction's id in the information about a connection; missing or None if none can be asked."""
IDENTIFY = "SELECT txid_current()"
"""Returns the id. A transaction that writes nothing causes no write to disk because of it."""
_STATUS = text("SELECT txid_status(:transaction)").bindparams(
    bindparam("transaction", type_=BigInteger)
)


class Outcome(StrEnum):
    """The state of a transaction, in PostgreSQL's terms."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    IN_PROGRESS = "in progress"


async def outcome_of(connection: AsyncConnection, transaction: int) -> Outcome:
    """A transaction that the server no longer knows counts as aborted."""
    told = await connection.scalar(_STATUS, {"transaction": transaction})
    return Outcome.ABORTED if told is None else Outcome(told)
