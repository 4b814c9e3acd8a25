"""Glob patterns as database conditions, with the same meaning as in `fnmatch`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, literal, or_

_PIECE = re.compile(r"\[(?P<no>!)?(?P<set>\]?[^\]]*)\]|(?P<other>.)", re.DOTALL)
"""One piece of a pattern: a set of characters, or a character."""


def matches_any(
    dialect: str, text: ColumnElement[Any], patterns: Sequence[str]
) -> ColumnElement[bool]:
    """Whether the text matches one of these patterns, ignoring case."""
    upper = func.upper(text)
    if dialect == "sqlite":
        return or_(*(upper.op("GLOB")(literal(_glob(pattern.upper()))) for pattern in patterns))
    return or_(*(upper.op("~")(literal(_expression(pattern.upper()))) for pattern in patterns))


def _glob(pattern: str) -> str:
    """The pattern in SQLite's syntax, which negates a set with `^` and has no unclosed brackets."""
    return "".join(
        each[0].replace("[", "[[]") if each["other"] else _glob_set(each["set"], none=each["no"])
        for each in _PIECE.finditer(pattern)
    )


def _glob_set(characters: str, *, none: str | None) -> str:
    if none:
        return f"[^{characters}]"
    if characters.startswith("^"):  # which would negate the set if it came first
        characters = f"{characters[1:]}^"
    return characters if characters == "^" else f"[{characters}]"


def _expression(pattern: str) -> str:
    """The pattern as a PostgreSQL regular expression."""
    wild = {"*": ".*", "?": "."}
    pieces = [
        f"[{'^' if each['no'] else ''}{_set(each['set'])}]"
        if each["other"] is None
        else wild.get(each[0], re.escape(each[0]))
        for each in _PIECE.finditer(pattern)
    ]
    return f"^{''.join(pieces)}$"


def _set(characters: str) -> str:
    return re.sub(r"[\\\[\]^]", r"\\\g<0>", characters)
