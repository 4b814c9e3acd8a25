"""Where an answer that is longer than one Slack message goes over into the next.

A cut falls at the best place near the limit: the end of a paragraph, else of a line, else of a sentence, else a space,
else between two characters as people see them. What is open there is closed in the head and opened again in the tail:
a code fence with its language, a table with its header. The pieces that were put in are named, so that what a message
shows can always be traced back to the text.
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
    after_line,
    bytes_len,
    is_delimiters,
    lines,
    needs_closing,
)

MIN_LIMIT = 256
"""Bytes; with less, what closes and reopens may leave no room for text."""
_ENOUGH = 0.6
"""The share of the limit below which a better kind of place is not worth the room it wastes."""

_WHOLE = re.compile(
    rf"{CODE_SPAN}|{LINK}|<[A-Za-z][^<>\s]*>|&(?:\#\d{{1,7}}|\#[xX][0-9a-fA-F]{{1,6}}|\w{{1,31}});"
)
_SPAN = re.compile(CODE_SPAN)
_GAP = re.compile(r"(?P<end>[.!?…][\"'”’)\]*_]*[ \t]+|[。！？][」』”）]*[ \t]*)|[ \t]+")
_TURNS_BLOCK = re.compile(
    r"[ \t]*(?:```|`{1,2}\Z|~~~|~{1,2}\Z|[-+*>#|=]|\d{1,9}[.)]|\[[^\]\n]*\]:| {4}|\t)"
)
_TURNS_FENCE = re.compile(r"[ \t]*(?:```|`{1,2}\Z|~~~|~{1,2}\Z)")
_FENCE_BEGUN = re.compile(r"[ \t]*(?:`{3,}[^`]*|~{3,}.*)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_UNDERLINE = re.compile(r" {0,3}(?:-+|=+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cut:
    """A text in two: `head == text[:at] + closer` and `tail == opener + text[at:]`."""

    head: str
    tail: str
    """Empty when nothing had to be cut."""
    at: int
    """Characters of the text that went into the head."""
    closer: str = ""
    opener: str = ""


class _Rank(IntEnum):
    INSIDE = 0
    """Where nothing should be cut: in a row, a link, a span of code."""
    CHARACTER = 1
    SPACE = 2
    SENTENCE = 3
    LINE = 4
    PARAGRAPH = 5


class _Place(NamedTuple):
    at: int
    rank: _Rank
    closer: str
    opener: str


def split(text: str, limit_bytes: int, at_least: int = 0) -> Cut:
    """Cut `text` so that the head, with what closes it, has at most `limit_bytes` UTF-8 bytes.

    `at_least`: characters that are visible already and so must be in the head. A text that fits is not cut. Only when
    what is visible leaves no room, or the limit is below `MIN_LIMIT`, may the head exceed the limit.
    """
    if bytes_len(text) + bytes_len(needs_closing(text)) <= limit_bytes:
        return Cut(text, "", len(text))
    place = _best(_Search(text, limit_bytes, at_least), limit_bytes)
    return Cut(
        text[: place.at] + place.closer,
        place.opener + text[place.at :],
        place.at,
        place.closer,
        place.opener,
    )


def _best(search: _Search, limit: int) -> _Place:
    enough = search.most * _ENOUGH

    def worth(place: _Place) -> tuple[bool, int, int, int]:
        band = 3 if place.at >= enough else int(3 * place.at / enough)
        return place.rank > _Rank.INSIDE, band, place.rank, place.at

    return max(search.places(), key=worth, default=None) or search.anywhere()


class _Search:
    """One walk over the lines of a text, for the places where it may be cut."""

    def __init__(self, text: str, limit: int, at_least: int) -> None:
        self.text = text
        self.limit = limit
        self.least = max(1, at_least)
        self.most = _fitting(text, limit)
        self.fence: Fence | None = None
        self.table = ""
        """Header and delimiter rows of the table that the walk is in."""
        self.before = ""
        """The line before."""

    def places(self) -> Iterator[_Place]:
        """All good places that the limit allows, in order."""
        for start, end in lines(self.text):
            if start >= self.most:
                return
            if end > self.least:
                yield from self._fit(self._in_line(start, end))
            self._take(start, end)
            if self.least <= end <= self.most and end < len(self.text):
                yield from self._fit(self._after_line(end))

    def anywhere(self) -> _Place:
        """The last place of all that the limit allows, or the first that is allowed to be, if none fits."""
        spare = None
        for at in range(
            min(self.most, len(self.text) - 1), max(self.least, self.most - 200) - 1, -1
        ):
            place = _joint(self.text, at, self.limit)
            if bytes_len(self.text[:at]) + len(place.closer) > self.limit:
                continue
            if _at_edge(self.text, at):
                continue
            if not _splits(self.text, at) and not _turns(self.text, at, _TURNS_FENCE):
                return place
            spare = spare or place
        return spare or _joint(self.text, self.least, self.limit)

    def _fit(self, places: Iterator[_Place]) -> Iterator[_Place]:
        for place in places:
            if bytes_len(self.text[: place.at]) + len(place.closer) <= self.limit:
                yield place

    def _take(self, start: int, end: int) -> None:
        line = self.text[start:end].rstrip("\r\n")
        fenced = self.fence is not None
        self.fence = after_line(self.fence, line, start)
        if fenced or self.fence is not None or "|" not in line:
            self.table = ""
        elif not self.table and "|" in self.before and is_delimiters(line):
            self.table = f"{self.before}\n{line}\n"
        self.before = line

    def _place(self, at: int, rank: _Rank) -> _Place:
        return _Place(at, rank, *_ends(self.text[at - 1], self.fence, self.table, self.limit))

    def _after_line(self, at: int) -> Iterator[_Place]:
        line = self._line_at(at)
        if self.fence is not None:
            empty = at <= self.fence.body or after_line(self.fence, line) is None
            if not empty:
                yield self._place(at, _Rank.LINE)
        elif self.table:
            if "|" not in line:
                yield _Place(at, _Rank.PARAGRAPH, "", "")
            elif not is_delimiters(self.before):
                yield self._place(at, _Rank.LINE)
        elif not is_delimiters(line) and not _UNDERLINE.match(line):
            yield self._place(at, self._rank(line))

    def _line_at(self, at: int) -> str:
        return self.text[at : (self.text.find("\n", at) + 1 or len(self.text))].rstrip("\r\n")

    def _rank(self, following: str) -> _Rank:
        if _HEADING.match(self.before) or not following.strip():
            return _Rank.SPACE
        if following.startswith(("    ", "\t")):
            return _Rank.SPACE
        begins = (
            _HEADING.match(following)
            or after_line(None, following) is not None
            or following.startswith("|")
        )
        return _Rank.PARAGRAPH if begins or not self.before.strip() else _Rank.LINE

    def _in_line(self, start: int, end: int) -> Iterator[_Place]:
        text, stop = self.text, min(end, self.most)
        line = self._line_at(start)
        in_table = "|" in line and (
            self.table or line.lstrip().startswith("|") or is_delimiters(self._line_at(end))
        )
        if self.fence is None and (in_table or after_line(None, line) is not None):
            return
        if self.fence is not None and after_line(self.fence, line) is None:
            return
        whole = [] if self.fence else [match.span() for match in _WHOLE.finditer(text, start, end)]
        spots = [
            (gap.end(), _Rank.SENTENCE if gap["end"] else _Rank.SPACE)
            for gap in _GAP.finditer(text, start, stop)
        ]
        spots += [(at, _Rank.CHARACTER) for at in range(max(start + 1, stop - 40), stop + 1)]
        pattern = _TURNS_BLOCK if self.fence is None else _TURNS_FENCE
        for at, rank in spots:
            allowed = start < at < end and text[at] != "\n" and self.least <= at <= self.most
            if (
                allowed
                and not _within(whole, at)
                and not _splits(text, at)
                and not _turns(text, at, pattern)
            ):
                yield self._place(at, rank)


def _turns(text: str, at: int, pattern: re.Pattern[str]) -> bool:
    """Whether what is plain within a line would become the beginning of something else by a cut."""
    start = text.rfind("\n", 0, at) + 1
    return at > start and bool(pattern.match(text, at) or _FENCE_BEGUN.fullmatch(text, start, at))


def _ends(last: str, fence: Fence | None, table: str, limit: int) -> tuple[str, str]:
    """What closes the head, whose last character is `last`, and what opens the tail."""
    if fence is not None:
        return ("" if last == "\n" else "\n") + fence.closer, fence.reopener
    return "", table if bytes_len(table) <= limit // 4 else ""


def _joint(text: str, at: int, limit: int) -> _Place:
    """The place at `at`, wherever that is: also within a span of code, which is closed and opened like a fence."""
    walk = _Search(text[:at], limit, 0)
    start = 0
    for start, end in lines(text[:at]):
        if text[end - 1] == "\n":
            walk._take(start, end)
            start = end
    if walk.fence is None and (opening := after_line(None, text[start:at], start)) is not None:
        return _Place(at, _Rank.INSIDE, *_ends(text[at - 1], opening, "", limit))
    if walk.fence is None and (span := _span_around(text, start, at)) is not None:
        return _Place(at, _Rank.INSIDE, span["run"], span["run"])
    return _Place(at, _Rank.INSIDE, *_ends(text[at - 1], walk.fence, walk.table, limit))


def _span_around(text: str, start: int, at: int) -> re.Match[str] | None:
    """The span of code that a cut at `at`, in the line that begins at `start`, would part."""
    end = text.find("\n", at)
    spans = _SPAN.finditer(text, start, end if end >= 0 else len(text))
    return next((span for span in spans if span.start() < at < span.end()), None)


def _at_edge(text: str, at: int) -> bool:
    """Whether a cut would leave nothing of a span of code on one of its sides."""
    span = _span_around(text, text.rfind("\n", 0, at) + 1, at)
    return span is not None and not span.end("run") < at < span.end() - len(span["run"])


def _fitting(text: str, limit: int) -> int:
    """How many characters fit into `limit` bytes."""
    if text.isascii():
        return min(limit, len(text))
    encoded = text[: limit + 1].encode("utf-8", "surrogatepass")
    end = min(limit, len(encoded))
    while end < len(encoded) and encoded[end] & 0xC0 == 0x80:
        end -= 1
    return len(encoded[:end].decode("utf-8", "surrogatepass"))


def _within(spans: list[tuple[int, int]], at: int) -> bool:
    index = bisect_left(spans, (at, 0)) - 1
    return index >= 0 and at < spans[index][1]


def _splits(text: str, at: int) -> bool:
    """Whether a cut would part what people see as one character, a run of backticks, or a line's end."""
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
    return _is_flag(left) and _is_flag(right)


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
