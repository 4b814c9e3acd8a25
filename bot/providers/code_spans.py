"""Whether the end of a growing Markdown text lies within code or a quotation: words that are shown, not meant. Pure."""

from __future__ import annotations

import re

_PIECE = re.compile(r"`+|~+|\n|[^`~\n]+")
_BEFORE_FENCE = " \t>-*+.)0123456789"
"""Characters that may stand before a fence: indentation, quotes, and the marks of lists."""
_FENCE_LENGTH = 3
_INDENTATION = 4
"""Columns from which on a line after an empty one is code, unless it goes on with a list."""
_LIST_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_BLOCK_QUOTE = re.compile(r" {0,3}>")
_LINE_BEGINNING = 40
"""Characters of a line that tell what kind of line it is."""
_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»"}
"""Quotation marks, and those that end what they begin."""
_QUOTE = re.compile('["“”„«»]')
_SINGLE_QUOTES = "'‘‚"
"""An apostrophe looks like one, so only what comes directly after it is quoted."""
_BEFORE_QUOTE = " \t([{*_"


class CodeSpans:
    """Follows a text piece by piece."""

    def __init__(self) -> None:
        self._fence: tuple[str, int] | None = None
        """Character and length of the fence of the open block."""
        self._span = 0
        """Length of the run of backticks that opened the span."""
        self._begins_line = True
        self._run = ""
        """Backticks or tildes at the end, of which more may follow."""
        self._line = ""
        """The beginning of the current line."""
        self._end = ""
        """The last two characters of the current line."""
        self._quote = ""
        """The marks of which each ends the open quotation."""
        self._may_indent = True
        """Whether the line before was empty, or indented code."""
        self._in_list = False

    @property
    def inside(self) -> bool:
        """Whether what comes next, if it is neither a backtick nor a tilde, is code or quoted."""
        self._end_run()
        return self._fence is not None or self._span > 0 or self._is_quoted or self._is_indented

    def feed(self, text: str) -> None:
        for piece in _PIECE.findall(text):
            if piece[0] in "`~":
                if self._run and self._run[0] != piece[0]:
                    self._end_run()
                self._run += piece
            else:
                self._end_run()
                self._plain(piece)
            if piece != "\n":
                self._line = (self._line + piece)[:_LINE_BEGINNING]
                self._end = (self._end + piece)[-2:]

    def _plain(self, piece: str) -> None:
        if piece == "\n":
            self._end_line()
        else:
            self._follow_quotes(piece)
            if piece.strip(_BEFORE_FENCE):
                self._begins_line = False

    def _end_line(self) -> None:
        is_empty = not self._line.strip()
        if not is_empty and _LIST_ITEM.match(self._line):
            self._in_list = True
        elif not is_empty and self._may_indent and not self._line[0].isspace():
            self._in_list = False
        self._may_indent = is_empty or self._is_indented
        self._begins_line, self._span = True, 0
        self._line = self._end = self._quote = ""

    def _follow_quotes(self, piece: str) -> None:
        if self._fence is not None or self._span:
            return
        for mark in _QUOTE.finditer(piece):
            before = piece[mark.start() - 1] if mark.start() else self._end[-1:]
            if self._quote:
                self._quote = "" if mark[0] in self._quote else self._quote
            elif before in _BEFORE_QUOTE:
                self._quote = _QUOTES.get(mark[0], "")

    @property
    def _is_quoted(self) -> bool:
        follows_quote = bool(self._end) and self._end[-1] in _SINGLE_QUOTES
        opens = follows_quote and self._end[:-1] in _BEFORE_QUOTE
        return bool(self._quote) or opens or _BLOCK_QUOTE.match(self._line) is not None

    @property
    def _is_indented(self) -> bool:
        line = self._line.expandtabs(_INDENTATION)
        is_indented = line.startswith(" " * _INDENTATION)
        return is_indented and self._may_indent and not self._in_list

    def _end_run(self) -> None:
        run, self._run = self._run, ""
        if not run:
            return
        if self._begins_line and len(run) >= _FENCE_LENGTH:
            self._fence = self._after_fence(run)
        elif run[0] == "`" and self._fence is None:
            self._span = 0 if self._span == len(run) else self._span or len(run)
        self._begins_line = False

    def _after_fence(self, run: str) -> tuple[str, int] | None:
        if self._fence is None:
            return run[0], len(run)
        character, length = self._fence
        return None if run[0] == character and len(run) >= length else self._fence
