"""Figures as a table, as CSV or as JSON, for `bobbin usage`. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from bot.usage.figures import Figures, GroupBy

_TOLD = ("answers", "failures", "tokens_in", "tokens_out", "cached", "cost")
_ESTIMATED = ("estimated_tokens", "estimated_cost")
_COLUMNS = (*_TOLD, *_ESTIMATED)


class ReportFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def report(figures: Sequence[Figures], by: GroupBy, form: ReportFormat) -> str:
    """One line or object for each group. A cost that no provider reported is `unknown`, empty or null."""
    rows = [_row(each, by) for each in figures]
    return _FORMATS[form](rows, by)


def _row(figures: Figures, by: GroupBy) -> dict[str, Any]:
    cost = figures.known_cost
    return {
        str(by): f"{figures.team}/{figures.group}" if figures.team else figures.group,
        "answers": figures.answers,
        "failures": figures.failures,
        "tokens_in": figures.prompt_tokens,
        "tokens_out": figures.completion_tokens,
        "cached": figures.cached_tokens,
        "cost": None if cost is None else round(cost, 6),
        "estimated_tokens": figures.estimated_tokens,
        "estimated_cost": round(figures.estimated_cost, 6),
    }


def _json(rows: Sequence[dict[str, Any]], _by: GroupBy) -> str:
    return json.dumps(list(rows), indent=1)


def _csv(rows: Sequence[dict[str, Any]], by: GroupBy) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [str(by), *_COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def _table(rows: Sequence[dict[str, Any]], by: GroupBy) -> str:
    """With the columns of estimates only if something is estimated."""
    is_estimated = any(row["estimated_tokens"] or row["estimated_cost"] for row in rows)
    names = [str(by), *(_COLUMNS if is_estimated else _TOLD)]
    head = [name.replace("_", " ") for name in names]
    lines = [head, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers = cells
    shown = [first.ljust(widths[0])]
    shown += [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join(shown).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


_FORMATS: dict[ReportFormat, Callable[[Sequence[dict[str, Any]], GroupBy], str]] = {
    ReportFormat.TABLE: _table,
    ReportFormat.CSV: _csv,
    ReportFormat.JSON: _json,
}
