"""Explains for operators why a database cannot be used, without names of people, texts or passwords."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError, TimeoutError


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong with the database."""

    reason: str
    """Continues "the database "."""
    away: bool = True
    """Whether the database is unusable for any statement at present; False for a failure of this one statement."""
    lasting: bool = False
    """Whether waiting is useless: a setting, the database or its permissions must be changed."""
    cure: str = "check that it runs and that DATABASE_URL is right"
    down: bool = False
    """Whether the server said that it goes down, or is down: the ids of transactions that it loses thereby may be given
    out again.
    """


READ_ONLY = Failure("is read-only: a standby, or set so", cure="DATABASE_URL must name the primary")
_REFUSED = Failure(
    "refuses the user or the password",
    lasting=True,
    cure="correct the user and the password in DATABASE_URL",
)
_NO_DATABASE = Failure(
    "server has no database of this name",
    lasting=True,
    cure="create it, or correct the name in DATABASE_URL",
)
_NO_SPACE = Failure("has no disk space left", cure="free disk space")
_FULL = Failure(
    "accepts no more connections (max_connections)",
    cure="raise its limit, or run fewer processes",
)
_OWN_LIMIT = Failure(
    "accepts no more connections for this user, or to this database (CONNECTION LIMIT)",
    cure="raise the limit (ALTER ROLE, ALTER DATABASE), or run fewer processes",
)
_STARTING = Failure("is starting or stopping", cure="try again soon", down=True)
_CRASHED = Failure("has crashed, or was stopped at once", cure="try again soon", down=True)
_ENDED = "57P01"
"""An administrator ended the connection, or the server is being stopped."""
_PATH = "correct the path in DATABASE_URL, and let Bobbin's user write to the file and its folder"
_OPTION = "remove or correct the option after ? in DATABASE_URL"
_RIGHTS = "make its user the owner of the database, or GRANT USAGE, CREATE ON SCHEMA public"

TOO_LONG = Failure("took too long for one statement", away=False)
DEADLOCK = Failure("has undone this because it and others waited for each other", away=False)
LOCKED = Failure("is locked by another process", cure="end the process that locks the file")
BUSY = Failure("is busy: no connection became free in time", away=False)

_POSTGRESQL_STATES = {
    "25006": READ_ONLY,
    "28P01": _REFUSED,
    "3D000": _NO_DATABASE,
    "40P01": DEADLOCK,
    "53100": _NO_SPACE,
    "53300": _FULL,
    "57014": TOO_LONG,
    "57P02": _CRASHED,
    "57P03": _STARTING,
}
_RIGHTS_STATES = ("42501", "3F000")
"""A permission is missing, or the schema in which to create tables."""
_MESSAGES_OF_CLASSES = ("08", "25", "28", "3D", "40", "42", "53", "54", "55", "57", "58", "XX")
"""The first two characters of SQLSTATEs whose messages quote no data."""

_POSTGRESQL_MESSAGES = (
    (
        "tenant or user not found",
        Failure(
            "pooler knows no such project or user",
            lasting=True,
            cure="write the user in DATABASE_URL as the pooler wants it, such as postgres.PROJECT",
        ),
    ),
    ("connection refused", Failure("refuses the connection: nothing listens there", down=True)),
    ("timeout expired|no answer within", Failure("does not answer")),
    ("resolve host|translate host", Failure("host's name cannot be resolved")),
    (
        "password authentication failed|no password supplied|role .* does not exist|no such user",
        _REFUSED,
    ),
    ("database .* does not exist|no such database", _NO_DATABASE),
    (
        "no pg_hba.conf entry.*no encryption",
        Failure(
            "does not admit this user, database or address without TLS",
            lasting=True,
            cure="set sslmode=require in DATABASE_URL, or allow it in pg_hba.conf",
        ),
    ),
    (
        "no pg_hba.conf entry",
        Failure(
            "does not admit this user, database or address",
            lasting=True,
            cure="allow it in pg_hba.conf",
        ),
    ),
    (
        "does not support SSL",
        Failure(
            "offers no TLS, which sslmode demands",
            lasting=True,
            cure="set up TLS there, or change sslmode in DATABASE_URL",
        ),
    ),
    (
        "certificate verify failed",
        Failure(
            "shows a certificate that is not trusted",
            lasting=True,
            cure="set sslrootcert in DATABASE_URL",
        ),
    ),
    (
        "not permitted to log in",
        Failure(
            "does not let this user log in",
            lasting=True,
            cure="ALTER ROLE … LOGIN, or correct the user in DATABASE_URL",
        ),
    ),
    (
        "permission denied for database",
        Failure(
            "does not let this user connect",
            lasting=True,
            cure="GRANT CONNECT ON DATABASE … TO its user, or correct the name in DATABASE_URL",
        ),
    ),
    (
        "not currently accepting connections",
        Failure(
            "accepts no connections",
            lasting=True,
            cure="ALTER DATABASE … ALLOW_CONNECTIONS true, or correct the name in DATABASE_URL",
        ),
    ),
    ("too many connections for", _OWN_LIMIT),
    ("too many clients|connection slots|no more connections", _FULL),
    ("starting up|shutting down|recovery mode", _STARTING),
)

_REFUSED_OPTION = re.compile(
    r'invalid connection option "\w+"|invalid \w+ value: "[\w-]+"|unsupported startup parameter[ \w:]*'
)

_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: Failure(
        "file is not writable",
        cure="let its owner run Bobbin, or permit writing to the file and its folder",
    ),
    sqlite3.SQLITE_PERM: Failure("file may not be opened", lasting=True, cure=_PATH),
    sqlite3.SQLITE_CANTOPEN: Failure("file cannot be opened", lasting=True, cure=_PATH),
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_IOERR: Failure("file cannot be read or written", cure="check the disk"),
    sqlite3.SQLITE_NOTADB: Failure(
        "file is no SQLite database", lasting=True, cure="name another file in DATABASE_URL"
    ),
    sqlite3.SQLITE_CORRUPT: Failure("file is damaged", lasting=True, cure="restore a backup"),
    sqlite3.SQLITE_INTERRUPT: TOO_LONG,
}


def failure_of(error: SQLAlchemyError) -> Failure:
    """The meaning of an SQLAlchemy error."""
    if isinstance(error, TimeoutError):
        return BUSY
    if isinstance(error, InvalidRequestError):
        return Failure("does not answer")
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    if hasattr(cause, "sqlstate"):  # psycopg is not imported here: SQLite does not need it
        return _of_postgresql(cause)
    return Failure(f"failed ({type(cause or error).__name__})", away=False)


def address(url: URL) -> str:
    """Where the database is, without user and password."""
    if url.get_backend_name() == "sqlite":
        return f"SQLite file {url.database}"
    host = url.host or url.query.get("host") or "local socket"
    return f"PostgreSQL at {host}:{url.port or url.query.get('port') or 5432}, database {url.database or url.username}"


def _of_sqlite(error: sqlite3.Error) -> Failure:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _SQLITE_CODES.get(code) or Failure(f"failed ({type(error).__name__})", away=False)


def _of_postgresql(error: Any) -> Failure:
    state = error.sqlstate
    if state is not None:
        message = f": {error.diag.message_primary}" if state[:2] in _MESSAGES_OF_CLASSES else ""
        if state in _RIGHTS_STATES:
            return Failure(f"does not let its user do this{message}", away=False, cure=_RIGHTS)
        return _POSTGRESQL_STATES.get(state) or Failure(
            f"failed ({type(error).__name__}{message})", away=False, down=state == _ENDED
        )
    # Without a state it is the library's own message, or the server's when a connection is opened.
    text = str(error)
    if option := _REFUSED_OPTION.search(text):
        return Failure(
            f"client or pooler refuses an option ({option[0]})", lasting=True, cure=_OPTION
        )
    for pattern, failure in _POSTGRESQL_MESSAGES:
        if re.search(pattern, text, re.IGNORECASE):
            return failure
    return Failure(f"cannot be reached ({_last_sentence(text)})")


def _last_sentence(text: str) -> str:
    """The reason in libpq's message, without the address before it."""
    first_line = text.strip().partition("\n")[0]
    return first_line.rpartition(" failed: ")[2].replace("FATAL:", "").strip()[:200]
