"""Patterns mean the same in each database as in `fnmatch`, by which the access rules read them."""

from __future__ import annotations

from fnmatch import fnmatchcase

from sqlalchemy import literal, select, union_all

from storage.engine.database import Database
from storage.engine.types import SafeText
from storage.statements.globs import matches_any

TEXTS = (
    "C1",
    "C12",
    "c2",
    "C[1",
    "D1",
    "T1/C1",
    "C.1",
    "C%1",
    "C_1",
    "C\\1",
    "C^",
    "C-",
    "C]",
    "C\n1",
)
PATTERNS = (
    "C1", "c1", "C*", "*", "?1", "C?", "C[12]", "C[!12]", "C[1-2]*", "[!D]*", "T1/*", "T1/C1", "*/C1",
    "C[^1]", "[^D]*", "C[!^1]", "C[^]", "C.1", "C%1", "C_1", "C\\1", "C[", "C[]]", "D*", "",
)  # fmt: skip


async def test_patterns_match_as_the_rules_say(database: Database) -> None:
    texts = union_all(*(select(literal(each, SafeText).label("text")) for each in TEXTS)).subquery()
    text = texts.c.text
    async with database.read() as connection:
        for pattern in PATTERNS:
            query = select(text).where(matches_any(connection.dialect.name, text, ["X", pattern]))
            found = list(await connection.scalars(query))
            expected = [each for each in TEXTS if fnmatchcase(each.upper(), pattern.upper())]
            assert sorted(found) == sorted(expected), pattern
