"""Whether the end of a growing Markdown text is inside code or a quotation, where marks are shown, not meant. Pure."""

from __future__ import annotations

import re

_PIECE = re.compile(r"`+|~+|\n|[^`~\n]+")
_BEFORE_FENCE = " \t>-*+.)0123456789"
"""Characters that may precede a fence: indentation, quotes, and list markers."""
_FENCE_LENGTH = 3
_INDENTATION = 4
"""The indentation from which a line after an empty one is code, unless it continues a list."""
_LIST_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_BLOCK_QUOTE = re.compile(r" {0,3}>")
_LINE_BEGINNING = 40
"""Characters of a line that determine its kind."""
_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»"}
"""Quotation marks, and the marks that close them."""
_QUOTE = re.compile("[\"“”„«»'’‘]")
_AMBIGUOUS = '"'
"""A mark that both opens and closes quotations."""
_SINGLE_QUOTES = "'‘‚"
_SINGLE_ENDS = "'’‘"
"""An apostrophe looks the same, so only text directly after it is quoted."""
_IN_SENTENCE = re.compile(r"[^\s.!?…。！？] |.?[(—–]")
_BEGINS_EMPHASIS = re.compile(r"(?:.*[\s(])?[*_]{1,3}")
"""A line up to its first emphasised word."""
_BEGINS_ITEM = re.compile(r"\s*(?:>\s?)*(?:[-*+•]|#{1,6}|\d{1,9}[.)])\s+[*_]*|\|\s*")
"""A line up to the first word of a list item, a heading, or a table cell."""
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
        self._quotations = 0
        """How many have been opened."""
        self._unclosed: set[int] = set()
        """Those that their line, or another opening mark, ended: their first mark was just a mark."""
        self._may_indent = True
        """Whether the line before was empty, or indented code."""
        self._in_list = False
        self._is_introduced = False
        """The last line that was not empty ended with a colon."""

    @property
    def inside(self) -> bool:
        """Whether the next character, if it is neither a backtick nor a tilde, is code or quoted."""
        self._end_run()
        return self._is_code or self._is_quoted

    @property
    def in_sentence(self) -> bool:
        """Whether what comes next continues a sentence as a separate word."""
        if _IN_SENTENCE.fullmatch(self._end):
            return True
        is_known = len(self._line) < _LINE_BEGINNING
        return is_known and _BEGINS_EMPHASIS.fullmatch(self._line) is not None

    @property
    def begins_line(self) -> bool:
        """Whether only white space precedes what comes next on its line."""
        return not self._line.strip()

    @property
    def is_introduced(self) -> bool:
        """Whether what comes next begins a line, and the text before introduces it as an example."""
        return self.begins_line and self._is_introduced

    @property
    def begins_item(self) -> bool:
        """Whether what comes next begins a list item, a heading, or a table cell."""
        return _BEGINS_ITEM.fullmatch(self._line) is not None or self._end.endswith("| ")

    def quotation(self) -> int | None:
        """The number of the open quotation, unless what comes next is shown literally for another reason."""
        if self._is_code or _BLOCK_QUOTE.match(self._line):
            return None
        if not self._quote and self._follows_single_quote:
            self._open_quotation(_SINGLE_ENDS)
        return self._quotations if self._quote else None

    def is_unclosed(self, quotation: int) -> bool:
        """Whether this quotation turned out not to be one, because nothing closes it on its line."""
        return quotation in self._unclosed

    def end(self) -> None:
        """The text is complete."""
        self._end_run()
        self._end_line()

    @property
    def _is_code(self) -> bool:
        self._end_run()
        return self._fence is not None or self._span > 0 or self._is_indented

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
        self._is_introduced = (
            self._is_introduced if is_empty else self._end.rstrip()[-1:] in (":", "：")
        )
        self._may_indent = is_empty or self._is_indented
        self._begins_line, self._span = True, 0
        self._leave_unclosed()
        self._line = self._end = self._quote = ""

    def _follow_quotes(self, piece: str) -> None:
        if self._fence is not None or self._span:
            return
        for mark in _QUOTE.finditer(piece):
            before = piece[mark.start() - 1] if mark.start() else self._end[-1:]
            may_open = before in _BEFORE_QUOTE and mark[0] in _QUOTES
            if mark[0] in self._quote and not (may_open and mark[0] in _AMBIGUOUS):
                self._quote = ""
            elif may_open and (not self._quote or mark[0] in self._quote):
                self._leave_unclosed()
                self._open_quotation(_QUOTES[mark[0]])

    def _open_quotation(self, ends: str) -> None:
        self._quotations += 1
        self._quote = ends

    def _leave_unclosed(self) -> None:
        if self._quote:
            self._unclosed.add(self._quotations)

    @property
    def _is_quoted(self) -> bool:
        is_quoted = bool(self._quote) or self._follows_single_quote
        return is_quoted or _BLOCK_QUOTE.match(self._line) is not None

    @property
    def _follows_single_quote(self) -> bool:
        follows_quote = bool(self._end) and self._end[-1] in _SINGLE_QUOTES
        return follows_quote and self._end[:-1] in _BEFORE_QUOTE

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
