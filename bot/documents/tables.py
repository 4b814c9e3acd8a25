"""Rows of cells as Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MAX_COLUMNS = 200


def table(rows: Iterable[Sequence[str]]) -> str:
    """The rows as a Markdown table; the first one is its head. Empty rows and columns at the edges are left out."""
    kept = [[escaped(" ".join(cell.split())) for cell in row[:MAX_COLUMNS]] for row in rows]
    kept = [row for row in kept if any(row)]
    width = max((_used(row) for row in kept), default=0)
    if not width:
        return ""
    lines = [_line([*row[:width], *[""] * (width - len(row))]) for row in kept]
    return "\n".join([lines[0], _line(["---"] * width), *lines[1:]])


def escaped(cell: str) -> str:
    """The cell with its bars escaped, because they would end it."""
    return re.sub(r"(?<!\\)\|", r"\\|", cell)


def _used(row: Sequence[str]) -> int:
    """How many columns the row has up to its last cell that is not empty."""
    return max((count for count, cell in enumerate(row, 1) if cell), default=0)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
