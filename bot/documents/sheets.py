"""xlsx, xls and ods to Markdown tables, one for each sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import islice

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.tables import MAX_COLUMNS, table

MAX_ROWS = 20_000
"""Per sheet. The text of this many rows is longer than a message may be."""
MAX_SHEETS = 200
_DURATION = re.compile(r"PT(\d+)H(\d+)M(\d+)S")
"""How ods writes durations of more than a day."""
Cell = int | float | str | bool | time | date | datetime | timedelta


def read_sheets(data: bytes, notes: Mapping[str, str] = {}) -> Iterator[str]:
    """Each sheet with its name. Raises DocumentError; SCAN if no sheet has a cell with text.

    `notes`: by the sheet's name, the texts to show below its cells.
    """
    workbook = _opened(data)
    found = False
    for name in workbook.sheet_names[:MAX_SHEETS]:
        text = "\n\n".join(filter(None, [_sheet(workbook, name), notes.get(name)]))
        found = found or bool(text)
        if text:
            yield f"### Sheet: {name}\n\n{text}"
    if not found:
        raise DocumentError(DocumentProblem.SCAN)


def _opened(data: bytes) -> CalamineWorkbook:
    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(data))
    except PasswordError as error:
        raise DocumentError(DocumentProblem.LOCKED) from error
    except CalamineError as error:
        raise DocumentError(DocumentProblem.BROKEN) from error


def _sheet(workbook: CalamineWorkbook, name: str) -> str:
    """Also empty for a chart's sheet, which has no rows."""
    try:
        sheet = workbook.get_sheet_by_name(name)
    except CalamineError:
        return ""
    first = sheet.start[0] if sheet.start else 0
    rows = [_row(row) for row in islice(sheet.iter_rows(), first, first + MAX_ROWS)]
    more = sheet.height - MAX_ROWS
    note = f"\n\n(The sheet has {more:,} more rows.)" if more > 0 else ""
    text = table(rows)
    return text and text + note


def _row(row: Iterable[Cell]) -> list[str]:
    return [_text(cell) for cell in islice(row, MAX_COLUMNS)]


def _text(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15g}"
    if isinstance(cell, datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(cell, str) and (span := _DURATION.fullmatch(cell)):
        return f"{span[1]}:{span[2]}:{span[3]}"
    return str(cell)
