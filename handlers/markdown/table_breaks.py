"""Shows `<br>` in tables as line breaks: the lines of a cell become rows, since a row of Markdown is one line.

Slack shows `<br>` as the five characters that it is. A cell cannot hold a line end, so `| a | x<br>y |` becomes the
rows `| a | x |` and `| | y |`. Where a row cannot be divided safely (markup across the break, in a header), a space
takes its place. Code keeps its `<br>`.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from handlers.markdown.grammar import CODE_SPAN, Fence, fence_after, is_delimiter_row

_MAX_LINES = 20
"""Lines of one cell that become rows; further lines are joined by spaces."""
_BREAK = r"</?br[ \t]*/?>"
_TOKEN = re.compile(rf"(?P<code>{CODE_SPAN})|\\.|(?P<br>{_BREAK})|(?P<pipe>\|)", re.IGNORECASE)
_HAS_BREAK = re.compile(_BREAK, re.IGNORECASE)
_UNESCAPED_PIPE = re.compile(r"(?<!\\)\|")
_MARKUP = re.compile(r"\*+|(?<!\w)_+|_+(?!\w)|~~|`+|[\[\]<>]")
_CLOSES = {"]": "[", ">": "<"}
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_QUOTED = re.compile(r"(?: {0,3}>[ \t]?+)*+")
"""The marks of a quotation that contains a table. Each blank has only one reading: with two, matching would take
exponential time.
"""
_ROW_LIKE = re.compile(rf"{_QUOTED.pattern} {{0,3}}\|")


class TableBreaks:
    """Rewrites one text while it arrives in deltas; the boundaries of the deltas make no difference.

    Only table rows, and lines that may be one, are held back until their end.
    """

    def __init__(self) -> None:
        self._line = ""
        self._emitted = 0
        """Characters of the line that have been returned."""
        self._fence: Fence | None = None
        self._previous = ""
        self._in_table = False

    def feed(self, text: str) -> str:
        """Takes more text; returns what is decided."""
        given: list[str] = []
        for piece in _LINES.findall(text):
            self._line += piece
            if piece.endswith("\n"):
                given.append(self._end_line())
            elif not self._holds():
                given.append(self._line[self._emitted :])
                self._emitted = len(self._line)
        return "".join(given)

    def finish(self) -> str:
        """Returns the rest; nothing may be fed afterwards."""
        return self._end_line()

    def _holds(self) -> bool:
        if self._emitted or self._fence is not None:
            return False
        blank = not self._line.strip(" >")
        return self._in_table or blank or _ROW_LIKE.match(self._line) is not None

    def _end_line(self) -> str:
        line, emitted = self._line, self._emitted
        self._line, self._emitted = "", 0
        bare = line.rstrip("\r\n")
        is_row = not emitted and self._is_row(bare)
        was_table = self._in_table
        self._follow(bare)
        if not is_row or not _HAS_BREAK.search(bare):
            return line[emitted:]
        rows = _rows(bare) if was_table else [_joined(bare)]
        return "\n".join(rows) + line[len(bare) :]

    def _is_row(self, line: str) -> bool:
        if self._fence is not None:
            return False
        return _ROW_LIKE.match(line) is not None or (self._in_table and "|" in line)

    def _follow(self, line: str) -> None:
        """Tracks what the line does to fences and tables."""
        inside = self._fence is not None
        self._fence = fence_after(self._fence, line)
        if inside or self._fence is not None or "|" not in line:
            self._in_table = False
        else:
            self._in_table = self._in_table or (
                "|" in self._previous and is_delimiter_row(_QUOTED.sub("", line, count=1))
            )
        self._previous = "" if inside else line


def _joined(row: str) -> str:
    """The row with spaces in place of its breaks."""
    return _TOKEN.sub(lambda token: " " if token["br"] else token[0], row)


def _rows(row: str) -> list[str]:
    """The rows that show the lines of each cell below one another."""
    quotation = _QUOTED.match(row)
    margin = quotation[0] if quotation else ""
    bare = row[len(margin) :]
    cells = _cells(bare)
    if cells is None or max(map(len, cells)) > _MAX_LINES:
        return [_joined(row)]
    margin += bare[: len(bare) - len(bare.lstrip())]
    lines = zip_longest(*cells, fillvalue="")
    return [f"{margin}| {' | '.join(line)} |" for line in lines]


def _cells(row: str) -> list[list[str]] | None:
    """The lines of each cell; None if that is uncertain, or if markup continues across a break."""
    cells, line, end = [[""]], "", 0
    for token in _TOKEN.finditer(row):
        line += row[end : token.start()]
        end = token.end()
        if token["pipe"]:
            cells[-1][-1], line = line.strip(), ""
            cells.append([""])
        elif token["br"]:
            cells[-1][-1], line = line.strip(), ""
            cells[-1].append("")
        elif token["code"] and _UNESCAPED_PIPE.search(token[0]):
            return None
        else:
            line += token[0]
    cells[-1][-1] = (line + row[end:]).strip()
    whole = all(_is_balanced(part) for cell in cells if len(cell) > 1 for part in cell)
    return _without_edges(cells) if whole else None


def _without_edges(cells: list[list[str]]) -> list[list[str]]:
    """The cells without the empty ones outside the first and last pipe."""
    first = 1 if len(cells) > 1 and cells[0] == [""] else 0
    last = len(cells) - 1 if len(cells) - first > 1 and cells[-1] == [""] else len(cells)
    return cells[first:last]


def _is_balanced(part: str) -> bool:
    """Whether every line of a cell closes all markup that it opens."""
    open_marks: list[str] = []
    for mark in _MARKUP.findall(part):
        opener = _CLOSES.get(mark, mark)
        if open_marks and open_marks[-1] == opener:
            open_marks.pop()
        else:
            open_marks.append(mark)
    return not open_marks
