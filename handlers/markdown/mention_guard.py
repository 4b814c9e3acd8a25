"""Ensures that nothing a model writes in an answer can notify people.

Titles, names and other short texts go through `handlers.markdown.plain_text.plain` instead, which removes such
sequences.

Slack resolves its control sequences (`<!channel>`, `<!subteam^S1|x>`, `<@U1>`, `<#C1>`, in any letter case) in Markdown
too, except in code. Only these are escaped: `<!DOCTYPE html>`, `<!-- … -->`, `<![CDATA[` and the like stay as they are.
Outside of code the `<` of such a sequence becomes `&lt;`, which Markdown shows as `<`; code would show the escape, so
code is left unchanged. Where the text may or may not be code, an invisible character after the `<` breaks the sequence
instead, which looks right in both cases. What Slack treats as code is not documented. Therefore only text on which
CommonMark and a simpler line-based reader agree counts as code here:

* fences of backticks, up to the first construct that readers interpret differently: a line that leaves the indentation
  of a fence in a list, a fence whose indentation is ambiguous, a backtick fence inside a tilde fence, a stray carriage
  return. From there on nothing counts as code. Tilde fences, quoted fences and indented code never count as code here;
* inline code spans that begin and end on one line, contain no pipe (a table would split them), and follow nothing that
  could have consumed a backtick: an open span, an escaped backtick, an unusual link, an autolink, a reference, the
  beginning of a tilde fence.

HTML in Markdown is assumed to be off, as it is in Slack.
"""

from __future__ import annotations

import re

from handlers.markdown.grammar import MAX_RUN_LENGTH, Fence, fence_after

_SLACK_SEQUENCE = r"\\*(?:!(?:channel|here|everyone|subteam\\*\^|date\\*\^|&)|@[uw&]|#[cdg&])"
"""What follows the `<` of a control sequence. Markdown decodes character references, so one may conceal the rest."""
_MENTION = re.compile(rf"<(?={_SLACK_SEQUENCE})", re.IGNORECASE)
_TOKEN = re.compile(rf"`+|<{_SLACK_SEQUENCE}|\|", re.IGNORECASE)
_BEGUN = ("!channel", "!here", "!everyone", "!subteam^", "!date^", "@u", "#c")
"""Beginnings of control sequences that are still undecided."""
_MAX_UNDECIDED = 40
"""Characters at the end of a text in which such a beginning is looked for; nobody writes more backslashes."""
_BROKEN = "<\u200b"
"""The beginning of a sequence that Slack ignores: a zero-width space follows."""
_BACKTICKS = re.compile("`+")
_LOOK_BACK = 2_000
"""Characters before a sequence in which a backtick that may have opened a span is looked for."""
_INDENTED = re.compile(r"(?:[ \t]*>)*(?: {4}|\t| {1,3}\t)")
_AMBIGUOUS_LINE_BREAK = re.compile(r"[\x0b\x0c\x85\u2028\u2029]|\r(?=.)", re.DOTALL)
_LINE_PREFIX = r"[ \t]*(?:(?:[-*+>]|\d{1,9}[.)])[ \t]*)*"
"""What may precede the text of a line: indentation, list markers, quote markers."""
_FENCE_LIKE = re.compile(rf"{_LINE_PREFIX}(?:```|~~~)")
_QUOTE_LINE = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*>")
_LIST_ITEM = re.compile(r"( *)([-*+]|(\d{1,9})[.)])( {1,4})(?=[^ \t\r])")
_LIST_ITEM_LIKE = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t\r]|$)")
_THEMATIC_BREAK = re.compile(r"[ \t]*([-*_])[ \t]*(?:\1[ \t]*){2,}\r?")
_CONSUMES_BACKTICK = re.compile(
    r"\\$"  # an escaped backtick
    r"|<[A-Za-z/?!][^>]*$"  # an autolink or tag that is still open
    r"|\]\((?![^()\s<>\"'`\\]*(?:[ \t]+\"[^\"`\\]*\")?\))"  # a link whose end is ambiguous
    r"|\]\[(?![^\[\]`\\]*\])"
)
_NOT_PROSE = re.compile(rf"{_LINE_PREFIX}(?:~~~|\[(?:[^\]]*\]:|[^\]]*$))")
"""A line whose backticks are not inline code: in a tilde fence, or in a possible link definition."""


class MentionGuard:
    """Escapes the mentions in one text while it arrives in deltas; the boundaries of the deltas make no difference.

    What `feed` returns may be sent at once. Only undecided text is held back: a trailing `<`, a run of backticks that
    may grow, and a control sequence in inline code until the end of the span, or of the line, is known.
    """

    def __init__(self) -> None:
        self._blocks = _BlockTracker()
        self._line = ""
        self._ambiguous_paragraph = False
        """Something in this paragraph makes its backticks ambiguous: nothing in it counts as inline code any more."""
        self._begin_line()

    def feed(self, text: str) -> str:
        """Takes more text; returns what has become safe to send."""
        safe: list[str] = []
        start = 0
        while (end := text.find("\n", start)) >= 0:
            self._line += text[start:end]
            safe += (self._finish_line(), "\n")
            self._end_line()
            start = end + 1
        self._line += text[start:]
        safe.append(self._process(_stable_length(self._line)))
        return "".join(safe)

    def finish(self) -> str:
        """Returns the rest; nothing may be fed afterwards."""
        return self._finish_line()

    def _finish_line(self) -> str:
        """Returns the rest of a complete line: a span that does not end on its line is not a span."""
        safe = self._process(len(self._line))
        self._held_from = -1
        return safe + self._emit(len(self._line))

    def _begin_line(self) -> None:
        self._line = ""
        self._emitted = 0
        """Characters of the line that have been returned."""
        self._scanned = 0
        self._span_run = 0
        """Length of the run of backticks that opened the current span; 0 outside of spans."""
        self._held_from = -1
        """Offset of the first control sequence in the current span; -1 if there is none."""
        self._segment_start = 0
        """Offset of the end of the last span: the text from here on is outside of code."""
        fence = self._blocks.fence
        self._in_code_fence = self._blocks.reliable and fence is not None and fence.run[0] == "`"
        self._escape_all = not self._in_code_fence and (
            self._ambiguous_paragraph or not self._blocks.reliable or fence is not None
        )

    def _process(self, stop: int) -> str:
        """Decides about the line up to `stop`; the returned text is final."""
        if self._in_code_fence and not self._blocks.keeps_fence(self._line):
            self._in_code_fence, self._escape_all = False, True
        if self._blocks.reliable and (
            stray := _AMBIGUOUS_LINE_BREAK.search(self._line, max(0, self._scanned - 1))
        ):
            return self._stop_trusting_code(stray.start(), stop)
        if self._in_code_fence:
            return self._emit(stop, raw=True)
        if self._escape_all:
            return self._emit(stop)
        return self._process_inline(stop)

    def _stop_trusting_code(self, where: int, stop: int) -> str:
        """Handles a character at `where` that only some readers treat as a line break: nothing after it is code."""
        safe = self._emit(where, raw=True) if self._in_code_fence else self._process_inline(where)
        self._blocks.reliable = False
        self._in_code_fence, self._escape_all, self._span_run, self._held_from = False, True, 0, -1
        return safe + self._emit(stop)

    def _process_inline(self, stop: int) -> str:
        safe: list[str] = []
        for token in _TOKEN.finditer(self._line, self._scanned, stop):
            mark = token[0][0]
            if mark == "`" and self._span_run:
                if len(token[0]) == self._span_run:
                    safe.append(self._close_span(token.end()))
            elif mark == "`":
                self._open_span(token.start(), len(token[0]))
            elif mark == "<" and self._span_run and self._held_from < 0:
                self._held_from = token.start()
            elif mark == "|" and self._span_run:
                self._escape_all = True
            if self._escape_all:
                self._span_run, self._held_from = 0, -1
                break
        safe.append(self._emit(stop if self._held_from < 0 else self._held_from))
        self._scanned = max(self._scanned, stop)
        return "".join(safe)

    def _open_span(self, start: int, length: int) -> None:
        before = self._line[self._segment_start : start]
        if length > MAX_RUN_LENGTH or _may_consume_backtick(before, self._segment_start == 0):
            self._escape_all = True
        else:
            self._span_run = length

    def _close_span(self, end: int) -> str:
        safe = ""
        if self._held_from >= 0:
            safe = self._emit(self._held_from) + self._emit(end, raw=True)
        self._span_run, self._held_from, self._segment_start = 0, -1, end
        return safe

    def _emit(self, stop: int, raw: bool = False) -> str:
        start, self._emitted = self._emitted, max(self._emitted, stop)
        self._scanned = max(self._scanned, self._emitted)
        text = self._line[start:stop]
        if raw or "<" not in text:
            return text
        return _MENTION.sub(lambda found: self._escape(start + found.start()), text)

    def _escape(self, at: int) -> str:
        """The replacement for the `<` at this offset of the line."""
        return _BROKEN if self._maybe_code(at) else "&lt;"

    def _maybe_code(self, at: int) -> bool:
        """Whether some parsers, perhaps Slack's, treat this position of the line as code."""
        if self._ambiguous_paragraph or self._blocks.maybe_in_fence or _INDENTED.match(self._line):
            return True
        return len(_BACKTICKS.findall(self._line, max(0, at - _LOOK_BACK), at)) % 2 == 1

    def _end_line(self) -> None:
        line = self._line
        rest = line[self._segment_start :]
        may_consume = ("[" in rest or "]" in rest) and _may_consume_backtick(
            rest, self._segment_start == 0
        )
        self._blocks.feed_line(line)
        if self._blocks.fence is not None or not line.strip(" \t\r"):
            self._ambiguous_paragraph = False
        elif not self._in_code_fence:
            self._ambiguous_paragraph = (
                self._ambiguous_paragraph or self._escape_all or self._span_run > 0 or may_consume
            )
        self._begin_line()


def guarded(text: str) -> str:
    """A complete text with its mentions escaped."""
    guard = MentionGuard()
    return guard.feed(text) + guard.finish()


def _may_consume_backtick(text: str, begins_line: bool) -> bool:
    """Whether a backtick after `text` may belong to something other than a code span."""
    return bool(_CONSUMES_BACKTICK.search(text) or (begins_line and _NOT_PROSE.match(text)))


def _stable_length(line: str) -> int:
    """Length of the part of an unfinished line whose meaning can't be changed by what follows."""
    if line.endswith("\r"):
        return len(line) - 1
    bare = line.rstrip("`")
    if len(bare) < len(line):
        return len(bare)
    begin = line.rfind("<", max(0, len(line) - _MAX_UNDECIDED))
    return begin if begin >= 0 and _may_become_mention(line[begin + 1 :]) else len(line)


def _may_become_mention(rest: str) -> bool:
    """Whether these characters after a `<` may be the beginning of an incomplete control sequence."""
    bare = rest.replace("\\", "").lower()
    return any(word.startswith(bare) and word != bare for word in _BEGUN)


class _BlockTracker:
    """Tracks fences line by line, and whether all Markdown parsers are certain to see the same fences."""

    def __init__(self) -> None:
        self.fence: Fence | None = None
        self.reliable = True
        self._fence_is_top_level = True
        """The open fence is certainly outside of list items."""
        self._item_columns: list[int] = []
        """Content columns of the list items that are certainly open."""
        self._may_be_in_list = False
        self._after_blank = True
        """The previous line was blank, or this is the first one."""
        self._quoted_fence: Fence | None = None

    @property
    def maybe_in_fence(self) -> bool:
        """Whether a fence seems to be open, possibly in a quote."""
        return self.fence is not None or self._quoted_fence is not None

    def keeps_fence(self, line: str) -> bool:
        """Whether a line, complete or not, stays in the open fence for every parser."""
        return self.fence is None or self._stays_in_fence(self.fence, line)

    def feed_line(self, line: str) -> None:
        """Takes one complete line, without its newline."""
        before = self.fence
        self.fence = fence_after(before, line)
        if before is not None:
            self._line_in_fence(before, line)
        elif not line.strip(" \t\r"):
            self._after_blank = True
        else:
            self._line_outside_fence(line)
            self._after_blank = False

    def _line_in_fence(self, fence: Fence, line: str) -> None:
        deepest = 3 if self._fence_is_top_level else max(3, fence.indent)
        closes_too_deep = self.fence is None and _indentation(line) > deepest
        misread = fence.run[0] == "~" and _FENCE_LIKE.match(line) and "`" in line
        if closes_too_deep or misread or not self._stays_in_fence(fence, line):
            self.reliable = False
        if self.fence is None:
            self._after_blank = False

    def _stays_in_fence(self, fence: Fence, line: str) -> bool:
        return (
            self._fence_is_top_level
            or not line.strip(" \t\r")
            or _indentation(line) >= fence.indent
        )

    def _line_outside_fence(self, line: str) -> None:
        if _QUOTE_LINE.match(line):
            self._quoted_line(line)
            return
        if self._quoted_fence is not None:
            self.reliable, self._quoted_fence = False, None
        if self.fence is not None:
            self._fence_opened(self.fence, line)
        elif _FENCE_LIKE.match(line) and "`" not in line.lstrip(" \t-*+.)0123456789").lstrip("`"):
            self.reliable = False
        else:
            self._follow_list(line)

    def _quoted_line(self, line: str) -> None:
        self._quoted_fence = fence_after(self._quoted_fence, line.lstrip(" \t>"))
        self._item_columns.clear()
        self._may_be_in_list = self._may_be_in_list or _LIST_ITEM_LIKE.match(line) is not None

    def _fence_opened(self, fence: Fence, line: str) -> None:
        lead = line[: line.index(fence.run)]
        if "\t" in lead or "|" in fence.info:  # some parsers read the latter as a table header
            self.reliable = False
        if fence.after_list_marker:
            self._follow_list(line)
            certain = bool(self._item_columns) and self._item_columns[-1] == fence.indent
        else:
            while self._item_columns and self._item_columns[-1] > fence.indent:
                self._item_columns.pop()
            certain = fence.indent <= 3 or (
                bool(self._item_columns) and fence.indent - self._item_columns[-1] <= 3
            )
        if not certain:
            self.reliable = False
        if fence.indent == 0:
            self._may_be_in_list = False
        self._fence_is_top_level = not self._may_be_in_list

    def _follow_list(self, line: str) -> None:
        indent = _indentation(line)
        depth = len(self._item_columns)
        while self._item_columns and self._item_columns[-1] > indent:
            self._item_columns.pop()
        if not _LIST_ITEM_LIKE.match(line):
            if self._after_blank and indent == 0:
                self._may_be_in_list = False
            return
        self._may_be_in_list = True
        at = 0
        while (item := _LIST_ITEM.match(line, at)) and not _THEMATIC_BREAK.fullmatch(line):
            top = self._item_columns[-1] if self._item_columns else 0
            free = self._after_blank or len(self._item_columns) < depth or item[3] in (None, "1")
            if item.start(2) - top > 3 or not free:
                break
            self._item_columns.append(item.end())
            at = item.end()


def _indentation(line: str) -> int:
    """Columns of the line's indentation; a tab advances to a multiple of four."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))
