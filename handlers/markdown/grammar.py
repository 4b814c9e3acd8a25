"""The parts of Markdown's grammar that matter for preparing text for Slack: fences, tables, inline code, bytes.

This is not a parser; Slack renders the text. It answers a few questions about a text that is still growing, in one way
for all callers. Facts relied on:

* A fence opens with three or more backticks (and then no backtick in its info string) or tildes at the beginning of a
  line, list markers before it included; it closes with a line of at least as many of the same and nothing else.
* A table is a header row, a delimiter row (`|---|:--|`), and rows until a line without a pipe.
* Slack measures a streamed message in something between characters and UTF-8 bytes; bytes are the safe assumption.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_RUN_LENGTH = 16
"""Longer runs of backticks are treated as text, not as a fence or code span: nobody writes them on purpose."""
_MAX_INFO_CHARS = 160
"""A line with a longer info string is treated as text too."""
_MAX_REPEATED_INFO_BYTES = 40
"""A longer info string is shortened to its first word, or dropped, where its fence is reopened."""

_LIST_MARKERS = r"[ \t]{0,24}(?:(?:[-*+]|\d{1,9}[.)]) {1,4}){0,4}"
_FENCE_LINE = re.compile(rf"^({_LIST_MARKERS})(`{{3,}}|~{{3,}})([^\n]*)$")
_DELIMITER_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t\r]*")

CODE_SPAN = rf"(?<!`)(?P<run>`{{1,{MAX_RUN_LENGTH}}})(?!`)[^\n]{{1,2000}}?(?<!`)(?P=run)(?!`)"
LINK = r"!?\[[^\[\]\n]{0,500}\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:[ \t]+\"[^\"\n]*\")?\)"


@dataclass(frozen=True, slots=True)
class Fence:
    """An open fenced code block."""

    run: str
    """The backticks or tildes that opened it."""
    indent: int
    """Columns before the run, list markers included."""
    info: str
    after_list_marker: bool
    """The opening line begins with a list marker."""
    start: int = 0
    """Offset of the opening line in the text."""
    body_start: int = 0
    """Offset of the content; beyond the end of the text while the opening line has no newline."""

    @property
    def closer(self) -> str:
        """The closing line, without newlines."""
        return " " * self.indent + self.run

    @property
    def reopener(self) -> str:
        """The opening line, newline included, for the rest of the block in another message.

        With four or more columns of indentation it is a fence only inside a list item, so it brings its own item.
        """
        words = self.info.split()
        info = self.info if byte_length(self.info) <= _MAX_REPEATED_INFO_BYTES else words[0]
        lead = " " * self.indent
        if self.indent > 3:
            outer = max(0, (self.indent - 4) // 2)
            lead = "- " * outer + "-" + " " * (self.indent - 2 * outer - 1)
        return f"{lead}{self.run}{info if byte_length(info) <= _MAX_REPEATED_INFO_BYTES else ''}\n"


def byte_length(text: str) -> int:
    """Length in UTF-8 bytes; half of a surrogate pair, which broken JSON can contain, counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def fence_after(fence: Fence | None, line: str, start: int = 0) -> Fence | None:
    """The fence that is open after one complete line, or None.

    `line` has no newline, begins at offset `start` and is inside `fence`, if there is one.
    """
    if fence is not None:
        stripped = line.strip(" \t\r")
        closes = (
            len(stripped) >= len(fence.run)
            and stripped == fence.run[0] * len(stripped)
            and _FENCE_LINE.match(line)
        )
        return None if closes else fence
    match = _FENCE_LINE.match(line)
    if match is None or len(match[2]) > MAX_RUN_LENGTH or len(match[3]) > _MAX_INFO_CHARS:
        return None
    if match[2][0] == "`" and "`" in match[3]:
        return None
    lead = match[1]
    body_start = start + len(line) + 1
    return Fence(
        match[2], len(lead.expandtabs(4)), match[3].strip(), bool(lead.strip()), start, body_start
    )


def open_fence(text: str) -> Fence | None:
    """The fence that is open at the end of `text`."""
    fence = None
    for start, end in _lines_with_runs(text):
        fence = fence_after(fence, text[start:end], start)
    return fence


def _lines_with_runs(text: str) -> Iterator[tuple[int, int]]:
    """Start and end, without the newline, of every line with a run that is long enough for a fence."""
    ticks, tildes = text.find("```"), text.find("~~~")
    while ticks >= 0 or tildes >= 0:
        found = min(at for at in (ticks, tildes) if at >= 0)
        end = text.find("\n", found)
        end = end if end >= 0 else len(text)
        yield text.rfind("\n", 0, found) + 1, end
        ticks = text.find("```", end) if 0 <= ticks < end else ticks
        tildes = text.find("~~~", end) if 0 <= tildes < end else tildes


def closing_fence(text: str) -> str:
    """What must be appended to `text` to close its open fence; empty if no fence is open."""
    fence = open_fence(text)
    if fence is None:
        return ""
    return fence.closer if text.endswith("\n") else "\n" + fence.closer


def is_delimiter_row(line: str) -> bool:
    """Whether the line is a table's delimiter row, if the line above has pipes."""
    return "|" in line and "-" in line and _DELIMITER_ROW.fullmatch(line) is not None


def line_spans(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """Start and end of each line from offset `start` on, newlines included."""
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, end
        start = end
