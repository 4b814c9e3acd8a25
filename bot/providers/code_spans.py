"""Whether the end of a growing Markdown text lies within code: a fenced block, or a span of backticks. Pure."""

from __future__ import annotations

import re

_PIECE = re.compile(r"`+|~+|\n|[^`~\n]+")
_BEFORE_FENCE = " \t>-*+.)0123456789"
"""Characters that may stand before a fence: indentation, quotes, and the marks of lists."""
_FENCE_LENGTH = 3


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

    @property
    def inside(self) -> bool:
        """Whether what comes next, if it is neither a backtick nor a tilde, is code."""
        self._end_run()
        return self._fence is not None or self._span > 0

    def feed(self, text: str) -> None:
        for piece in _PIECE.findall(text):
            if piece[0] in "`~":
                if self._run and self._run[0] != piece[0]:
                    self._end_run()
                self._run += piece
            else:
                self._end_run()
                self._plain(piece)

    def _plain(self, piece: str) -> None:
        if piece == "\n":
            self._begins_line, self._span = True, 0
        elif piece.strip(_BEFORE_FENCE):
            self._begins_line = False

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
