"""Splits an answer that is longer than one Slack message.

The cut is made at the best point near the limit: the end of a paragraph, else of a line, else of a sentence, else a
space, else between two characters as people see them. Open constructs are closed in the head and reopened in the tail:
a code fence with its language, a table with its header. The inserted text is reported, so that a message's content can
always be traced back to the original.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from handlers.markdown.grammar import (
    CODE_SPAN,
    LINK,
    Fence,
    byte_length,
    closing_fence,
    fence_after,
    is_delimiter_row,
    line_spans,
)

MIN_LIMIT_BYTES = 256
"""With a smaller limit, closers and openers may leave no room for text."""
_MIN_FILL_RATIO = 0.6
"""Cut points beyond this share of the limit compete by kind; earlier ones would waste too much room."""

_UNSPLITTABLE = re.compile(
    rf"{CODE_SPAN}|{LINK}|<[A-Za-z][^<>\s]*>|&(?:\#\d{{1,7}}|\#[xX][0-9a-fA-F]{{1,6}}|\w{{1,31}});"
)
_CODE_SPAN = re.compile(CODE_SPAN)
_WORD_BREAK = re.compile(r"(?P<end>[.!?…][\"'”’)\]*_]*[ \t]+|[。！？][」』”）]*[ \t]*)|[ \t]+")
_STARTS_BLOCK = re.compile(
    r"[ \t]*(?:```|`{1,2}\Z|~~~|~{1,2}\Z|[-+*>#|=]|\d{1,9}[.)]|\[[^\]\n]*\]:| {4}|\t)"
)
_STARTS_FENCE = re.compile(r"[ \t]*(?:```|`{1,2}\Z|~~~|~{1,2}\Z)")
_PARTIAL_FENCE = re.compile(r"[ \t]*(?:`{3,}[^`]*|~{3,}.*)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_SETEXT_UNDERLINE = re.compile(r" {0,3}(?:-+|=+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cut:
    """A text split in two: `head == text[:at] + closer` and `tail == opener + text[at:]`."""

    head: str
    tail: str
    """Empty if the text was not cut."""
    at: int
    """Characters of the text that are in the head."""
    closer: str = ""
    opener: str = ""


class _Rank(IntEnum):
    """How good a cut point is; higher is better."""

    INSIDE = 0
    """Inside something that should stay whole: a table row, a link, a code span."""
    CHARACTER = 1
    SPACE = 2
    SENTENCE = 3
    LINE = 4
    PARAGRAPH = 5


class _CutPoint(NamedTuple):
    at: int
    rank: _Rank
    closer: str
    opener: str


def split(text: str, limit_bytes: int, at_least: int = 0) -> Cut:
    """Splits `text` so that the head, its closer included, has at most `limit_bytes` UTF-8 bytes.

    `at_least`: characters that are visible already and so must be in the head. A text that fits is not split. The head
    exceeds the limit only if the visible characters leave no room, or the limit is below `MIN_LIMIT_BYTES`.
    """
    if byte_length(text) + byte_length(closing_fence(text)) <= limit_bytes:
        return Cut(text, "", len(text))
    point = _best_cut(_CutSearch(text, limit_bytes, at_least), limit_bytes)
    return Cut(
        text[: point.at] + point.closer,
        point.opener + text[point.at :],
        point.at,
        point.closer,
        point.opener,
    )


def _best_cut(search: _CutSearch, limit: int) -> _CutPoint:
    min_worthwhile = search.max_at * _MIN_FILL_RATIO

    def value(point: _CutPoint) -> tuple[bool, int, int, int]:
        band = 3 if point.at >= min_worthwhile else int(3 * point.at / min_worthwhile)
        return point.rank > _Rank.INSIDE, band, point.rank, point.at

    return max(search.cut_points(), key=value, default=None) or search.last_resort()


class _CutSearch:
    """Walks through the lines of a text to find the points where it may be cut."""

    def __init__(self, text: str, limit: int, at_least: int) -> None:
        self.text = text
        self.limit = limit
        self.min_at = max(1, at_least)
        self.max_at = _chars_that_fit(text, limit)
        self.fence: Fence | None = None
        self.table_header = ""
        """Header and delimiter row of the table around the current line; empty outside of tables."""
        self.previous_line = ""

    def cut_points(self) -> Iterator[_CutPoint]:
        """All suitable cut points within the limit, in order."""
        for start, end in line_spans(self.text):
            if start >= self.max_at:
                return
            if end > self.min_at:
                yield from self._only_fitting(self._within_line(start, end))
            self._advance(start, end)
            if self.min_at <= end <= self.max_at and end < len(self.text):
                yield from self._only_fitting(self._at_line_end(end))

    def last_resort(self) -> _CutPoint:
        """The last point within the limit, however unsuitable; the first allowed point if none fits."""
        fallback = None
        for at in range(
            min(self.max_at, len(self.text) - 1), max(self.min_at, self.max_at - 200) - 1, -1
        ):
            point = _forced_cut(self.text, at, self.limit)
            if byte_length(self.text[:at]) + len(point.closer) > self.limit:
                continue
            if _empties_code_span(self.text, at):
                continue
            if not _splits_grapheme(self.text, at) and not _starts_block_syntax(
                self.text, at, _STARTS_FENCE
            ):
                return point
            fallback = fallback or point
        return fallback or _forced_cut(self.text, self.min_at, self.limit)

    def _only_fitting(self, cut_points: Iterator[_CutPoint]) -> Iterator[_CutPoint]:
        for point in cut_points:
            if byte_length(self.text[: point.at]) + len(point.closer) <= self.limit:
                yield point

    def _advance(self, start: int, end: int) -> None:
        line = self.text[start:end].rstrip("\r\n")
        fenced = self.fence is not None
        self.fence = fence_after(self.fence, line, start)
        if fenced or self.fence is not None or "|" not in line:
            self.table_header = ""
        elif not self.table_header and "|" in self.previous_line and is_delimiter_row(line):
            self.table_header = f"{self.previous_line}\n{line}\n"
        self.previous_line = line

    def _cut_at(self, at: int, rank: _Rank) -> _CutPoint:
        return _CutPoint(
            at,
            rank,
            *_closer_and_opener(self.text[at - 1], self.fence, self.table_header, self.limit),
        )

    def _at_line_end(self, at: int) -> Iterator[_CutPoint]:
        line = self._line_at(at)
        if self.fence is not None:
            empty = at <= self.fence.body_start or fence_after(self.fence, line) is None
            if not empty:
                yield self._cut_at(at, _Rank.LINE)
        elif self.table_header:
            if "|" not in line:
                yield _CutPoint(at, _Rank.PARAGRAPH, "", "")
            elif not is_delimiter_row(self.previous_line):
                yield self._cut_at(at, _Rank.LINE)
        elif not is_delimiter_row(line) and not _SETEXT_UNDERLINE.match(line):
            yield self._cut_at(at, self._line_end_rank(line))

    def _line_at(self, at: int) -> str:
        return self.text[at : (self.text.find("\n", at) + 1 or len(self.text))].rstrip("\r\n")

    def _line_end_rank(self, following: str) -> _Rank:
        if _HEADING.match(self.previous_line) or not following.strip():
            return _Rank.SPACE
        if following.startswith(("    ", "\t")):
            return _Rank.SPACE
        starts_block = (
            _HEADING.match(following)
            or fence_after(None, following) is not None
            or following.startswith("|")
        )
        return _Rank.PARAGRAPH if starts_block or not self.previous_line.strip() else _Rank.LINE

    def _within_line(self, start: int, end: int) -> Iterator[_CutPoint]:
        text, stop = self.text, min(end, self.max_at)
        line = self._line_at(start)
        in_table = "|" in line and (
            self.table_header
            or line.lstrip().startswith("|")
            or is_delimiter_row(self._line_at(end))
        )
        if self.fence is None and (in_table or fence_after(None, line) is not None):
            return
        if self.fence is not None and fence_after(self.fence, line) is None:
            return
        unsplittable = (
            []
            if self.fence
            else [match.span() for match in _UNSPLITTABLE.finditer(text, start, end)]
        )
        candidates = [
            (gap.end(), _Rank.SENTENCE if gap["end"] else _Rank.SPACE)
            for gap in _WORD_BREAK.finditer(text, start, stop)
        ]
        candidates += [(at, _Rank.CHARACTER) for at in range(max(start + 1, stop - 40), stop + 1)]
        pattern = _STARTS_BLOCK if self.fence is None else _STARTS_FENCE
        for at, rank in candidates:
            allowed = start < at < end and text[at] != "\n" and self.min_at <= at <= self.max_at
            if (
                allowed
                and not _inside_any(unsplittable, at)
                and not _splits_grapheme(text, at)
                and not _starts_block_syntax(text, at, pattern)
            ):
                yield self._cut_at(at, rank)


def _starts_block_syntax(text: str, at: int, pattern: re.Pattern[str]) -> bool:
    """Whether text from the middle of a line would turn into block syntax at the beginning of the tail."""
    start = text.rfind("\n", 0, at) + 1
    return at > start and bool(pattern.match(text, at) or _PARTIAL_FENCE.fullmatch(text, start, at))


def _closer_and_opener(last: str, fence: Fence | None, table: str, limit: int) -> tuple[str, str]:
    """What closes the head, whose last character is `last`, and what reopens the tail."""
    if fence is not None:
        return ("" if last == "\n" else "\n") + fence.closer, fence.reopener
    return "", table if byte_length(table) <= limit // 4 else ""


def _forced_cut(text: str, at: int, limit: int) -> _CutPoint:
    """The cut point at `at`, whatever is there; a code span around it is closed and reopened like a fence."""
    walk = _CutSearch(text[:at], limit, 0)
    start = 0
    for start, end in line_spans(text[:at]):
        if text[end - 1] == "\n":
            walk._advance(start, end)
            start = end
    if walk.fence is None and (opening := fence_after(None, text[start:at], start)) is not None:
        return _CutPoint(at, _Rank.INSIDE, *_closer_and_opener(text[at - 1], opening, "", limit))
    if walk.fence is None and (span := _code_span_around(text, start, at)) is not None:
        return _CutPoint(at, _Rank.INSIDE, span["run"], span["run"])
    return _CutPoint(
        at, _Rank.INSIDE, *_closer_and_opener(text[at - 1], walk.fence, walk.table_header, limit)
    )


def _code_span_around(text: str, start: int, at: int) -> re.Match[str] | None:
    """The code span that a cut at `at`, in the line that begins at `start`, would split."""
    end = text.find("\n", at)
    spans = _CODE_SPAN.finditer(text, start, end if end >= 0 else len(text))
    return next((span for span in spans if span.start() < at < span.end()), None)


def _empties_code_span(text: str, at: int) -> bool:
    """Whether a cut would leave one side of a code span without content."""
    span = _code_span_around(text, text.rfind("\n", 0, at) + 1, at)
    return span is not None and not span.end("run") < at < span.end() - len(span["run"])


def _chars_that_fit(text: str, limit: int) -> int:
    """How many characters of `text` fit into `limit` bytes."""
    if text.isascii():
        return min(limit, len(text))
    encoded = text[: limit + 1].encode("utf-8", "surrogatepass")
    end = min(limit, len(encoded))
    while end < len(encoded) and encoded[end] & 0xC0 == 0x80:
        end -= 1
    return len(encoded[:end].decode("utf-8", "surrogatepass"))


def _inside_any(spans: list[tuple[int, int]], at: int) -> bool:
    index = bisect_left(spans, (at, 0)) - 1
    return index >= 0 and at < spans[index][1]


def _splits_grapheme(text: str, at: int) -> bool:
    """Whether a cut would split a grapheme, a run of markers, or a CRLF."""
    left, right = text[at - 1], text[at]
    if right.isascii():
        return (left == right and left in "`~*_") or (left == "\r" and right == "\n")
    if (
        left == "\u200d"
        or right == "\u200d"
        or unicodedata.category(right) in ("Mn", "Me", "Mc", "Cs")
    ):
        return True
    if "\U0001f3fb" <= right <= "\U0001f3ff" or "\U000e0020" <= right <= "\U000e007f":
        return True
    return _is_regional_indicator(left) and _is_regional_indicator(right)


def _is_regional_indicator(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
