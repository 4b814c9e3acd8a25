"""Whether a transaction took effect whose COMMIT was not answered: PostgreSQL is asked about it by its id.

That needs no session: any other connection may ask, behind a transaction pooler and after a failover too.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

TRANSACTION = "transaction"
"""Names the id of its transaction in the information about a connection; missing or None where none can be asked."""
IDENTIFY = "SELECT txid_current()"
"""Returns the id. It costs a transaction that writes nothing no write to disk."""
_STATUS = text("SELECT txid_status(:transaction)").bindparams(
    bindparam("transaction", type_=BigInteger)
)


class Outcome(StrEnum):
    """What became of a transaction, in PostgreSQL's words."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    IN_PROGRESS = "in progress"


async def outcome_of(connection: AsyncConnection, transaction: int) -> Outcome:
    """A transaction that the server does not know any more counts as aborted."""
    told = await connection.scalar(_STATUS, {"transaction": transaction})
    return Outcome.ABORTED if told is None else Outcome(told)
