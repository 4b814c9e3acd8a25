"""The little grammar of Markdown that preparing text for Slack rests on: fences, tables, inline code, bytes.

Not a parser: Slack renders. These are the few questions that must be answered about a text that is still growing,
answered the same way by everybody who asks. Facts relied on:

* A fence opens with three or more backticks (and then no backtick in its info string) or tildes at the beginning of a
  line, also behind the markers of list items; it closes with a line of at least as many of the same and nothing else.
* A table is a header row, a delimiter row (`|---|:--|`), and rows until a line without a pipe.
* Slack counts a streamed message's size in something between characters and UTF-8 bytes; bytes are the safe reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_RUN = 16
"""Fences and code spans with longer runs of backticks are taken for text: nobody writes them on purpose."""
_LONGEST_OPENING = 160
"""Characters of an info string; a line with more is text, too."""
_LONGEST_INFO = 40
"""UTF-8 bytes of an info string that are worth repeating where a fence is reopened."""

_MARKERS = r"[ \t]{0,24}(?:(?:[-*+]|\d{1,9}[.)]) {1,4}){0,4}"
_FENCE_LINE = re.compile(rf"^({_MARKERS})(`{{3,}}|~{{3,}})([^\n]*)$")
_DELIMITERS = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t\r]*")

CODE_SPAN = rf"(?<!`)(?P<run>`{{1,{LONGEST_RUN}}})(?!`)[^\n]{{1,2000}}?(?<!`)(?P=run)(?!`)"
LINK = r"!?\[[^\[\]\n]{0,500}\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:[ \t]+\"[^\"\n]*\")?\)"


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced code block that is open."""

    run: str
    """The backticks or tildes that opened it."""
    indent: int
    """Columns in front of them, list markers included."""
    info: str
    marked: bool
    """It opened on the line of a list marker."""
    start: int = 0
    """Where its opening line begins."""
    body: int = 0
    """Where its content begins; past the end of the text while the opening line has no newline."""

    @property
    def closer(self) -> str:
        """The closing line, without newlines."""
        return " " * self.indent + self.run

    @property
    def reopener(self) -> str:
        """An opening line for the rest of the block in another message, newline included.

        Four columns and more are a fence only inside of a list item, so such a line brings an item of its own.
        """
        words = self.info.split()
        info = self.info if bytes_len(self.info) <= _LONGEST_INFO else words[0]
        lead = " " * self.indent
        if self.indent > 3:
            outer = max(0, (self.indent - 4) // 2)
            lead = "- " * outer + "-" + " " * (self.indent - 2 * outer - 1)
        return f"{lead}{self.run}{info if bytes_len(info) <= _LONGEST_INFO else ''}\n"


def bytes_len(text: str) -> int:
    """UTF-8 bytes; half of a surrogate pair, which broken JSON can bring, counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def after_line(fence: Fence | None, line: str, start: int = 0) -> Fence | None:
    """The open fence, if any, after one whole line (without its newline) that began under `fence`."""
    if fence is not None:
        queued_reactions = line.strip(" \t\r")
        shut = (
            len(queued_reactions) >= len(fence.run)
            and queued_reactions == fence.run[0] * len(queued_reactions)
            and _FENCE_LINE.match(line)
        )
        return None if shut else fence
    match = _FENCE_LINE.match(line)
    if match is None or len(match[2]) > LONGEST_RUN or len(match[3]) > _LONGEST_OPENING:
        return None
    if match[2][0] == "`" and "`" in match[3]:
        return None
    lead = match[1]
    body = start + len(line) + 1
    return Fence(
        match[2], len(lead.expandtabs(4)), match[3].strip(), bool(lead.strip()), start, body
    )


def open_fence(text: str) -> Fence | None:
    """The fence that is open at the end of `text`."""
    fence = None
    for start, end in _lines_with_runs(text):
        fence = after_line(fence, text[start:end], start)
    return fence


def _lines_with_runs(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end, without the newline, of every line in which a run stands that is long enough for a fence."""
    ticks, tildes = text.find("```"), text.find("~~~")
    while ticks >= 0 or tildes >= 0:
        found = min(at for at in (ticks, tildes) if at >= 0)
        end = text.find("\n", found)
        end = end if end >= 0 else len(text)
        yield text.rfind("\n", 0, found) + 1, end
        ticks = text.find("```", end) if 0 <= ticks < end else ticks
        tildes = text.find("~~~", end) if 0 <= tildes < end else tildes


def needs_closing(text: str) -> str:
    """What must be added to `text` so that no fence stays open; empty if none is."""
    fence = open_fence(text)
    if fence is None:
        return ""
    return fence.closer if text.endswith("\n") else "\n" + fence.closer


def is_delimiters(line: str) -> bool:
    """Whether the line, under a line with pipes, makes that line the header of a table."""
    return "|" in line and "-" in line and _DELIMITERS.fullmatch(line) is not None


def lines(text: str, start: int = 0) -> Iterator[tuple[int, int]]:
    """Begin and end of each line, the newline included."""
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, end
        start = end
