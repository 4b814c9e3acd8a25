"""One cache of compiled SQL for all engines of a test run, since compiling takes an eighth of a whole-product test.

SQLAlchemy compiles a statement once for each engine, and every test opens engines of its own. A compiled statement
depends on nothing but the kind of database, so one that another engine has compiled is as good.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, TextClause, event
from sqlalchemy.util import LRUCache

_Key = tuple[Any, ...]


class _SharedCache(LRUCache[_Key, Any]):
    """Keys of SQLAlchemy begin with the engine's own dialect object; here its class stands for it.

    Not for statements in text: `SELECT *` has other columns in a database of another version.
    """

    def get(self, key: _Key, default: Any = None) -> Any:
        return super().get(_shared(key), default)

    def __setitem__(self, key: _Key, value: Any) -> None:
        super().__setitem__(_shared(key), value)


def _shared(key: _Key) -> _Key:
    dialect, statement, *_ = key
    return key if TextClause in statement[:2] else (type(dialect), *key[1:])


def share_compiled_statements() -> None:
    """For every engine of this process, from its first connection on."""
    shared = _SharedCache(2000)

    @event.listens_for(Engine, "engine_connect")
    def use_shared_cache(connection: Connection) -> None:
        connection.execution_options(compiled_cache=shared)
