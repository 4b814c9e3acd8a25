"""Nothing that a model writes may notify people.

Slack resolves its control sequences (`<!channel>`, `<!subteam^S1|x>`, `<@U1>`, `<#C1>`, in any letter case) in Markdown
too, except in code. Outside of code the `<` of such a sequence becomes `&lt;`, which Markdown shows as `<`; in code it
would show as it stands, so code is left as it is. Which text Slack takes for code is written down nowhere. Therefore
only that counts as code here which CommonMark and a simpler reader of lines agree on:

* fences of backticks, as long as nothing has happened over which readers differ: a line that leaves the indentation of
  a fence in a list, a fence too deep to be certainly one, a backtick fence inside a tilde fence, a stray carriage
  return. From there on nothing is code any more. Tilde fences, quoted fences and indented code are never code here;
* spans of inline code that begin and end on one line, hold no pipe (a table would split them), and stand behind nothing
  that could have swallowed a backtick: an open span, an escaped backtick, an unusual link, an autolink, a reference,
  the beginning of a tilde fence.

HTML in Markdown is taken to be off, as it is in Slack.
"""

from __future__ import annotations

import re

from handlers.markdown.grammar import LONGEST_RUN, Fence, after_line

_PING = re.compile(r"<(?=\\*[!@#])")
_TOKEN = re.compile(r"`+|<\\*[!@#]|\|")
_STRAY_BREAK = re.compile(r"[\x0b\x0c\x85\u2028\u2029]|\r(?=.)", re.DOTALL)
_LEAD = r"[ \t]*(?:(?:[-*+>]|\d{1,9}[.)])[ \t]*)*"
"""Whatever a line may begin with before its text: indentation, list markers, marks of quotes."""
_FENCE_LIKE = re.compile(rf"{_LEAD}(?:```|~~~)")
_QUOTED = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*>")
_ITEM = re.compile(r"( *)([-*+]|(\d{1,9})[.)])( {1,4})(?=[^ \t\r])")
_ITEM_LIKE = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t\r]|$)")
_RULE = re.compile(r"[ \t]*([-*_])[ \t]*(?:\1[ \t]*){2,}\r?")
_SWALLOWS = re.compile(
    r"\\$"  # an escaped backtick
    r"|<[A-Za-z/?!][^>]*$"  # an autolink or tag that is still open
    r"|\]\((?![^()\s<>\"'`\\]*(?:[ \t]+\"[^\"`\\]*\")?\))"  # a link whose end is not plain to see
    r"|\]\[(?![^\[\]`\\]*\])"
)
_NO_PROSE = re.compile(rf"{_LEAD}(?:~~~|\[(?:[^\]]*\]:|[^\]]*$))")
"""A line whose backticks are no prose: of a tilde fence, or of what may be the definition of a link."""


class MentionGuard:
    """Makes one text safe while it arrives in pieces; where the pieces are cut makes no difference.

    What `feed` returns may be sent at once. Held back is only what is undecided yet: a trailing `<`, a run of backticks
    that may grow, and from a suspicious sequence on in inline code until its end, or the end of the line, is known.
    """

    def __init__(self) -> None:
        self._blocks = _Blocks()
        self._line = ""
        self._unclear = False
        """Something in this paragraph makes its backticks ambiguous: no inline code until it ends."""
        self._begin_line()

    def feed(self, text: str) -> str:
        """Take up more text; give what has become safe to send."""
        safe: list[str] = []
        start = 0
        while (end := text.find("\n", start)) >= 0:
            self._line += text[start:end]
            safe += (self._rest(), "\n")
            self._end_line()
            start = end + 1
        self._line += text[start:]
        safe.append(self._advance(_settled(self._line)))
        return "".join(safe)

    def finish(self) -> str:
        """The rest; nothing may be fed after it."""
        return self._rest()

    def _rest(self) -> str:
        """What is left of a line that is whole: a span that has not ended on it is none."""
        safe = self._advance(len(self._line))
        self._held = -1
        return safe + self._give(len(self._line))

    def _begin_line(self) -> None:
        self._line = ""
        self._done = 0
        """How much of the line has been given out."""
        self._seen = 0
        self._span = 0
        """Length of the run of backticks that opened the span we are in; 0 outside."""
        self._held = -1
        """Where the first suspicious sequence of that span begins."""
        self._segment = 0
        """Where the text between the last span and here begins."""
        fence = self._blocks.fence
        self._code = self._blocks.sure and fence is not None and fence.run[0] == "`"
        self._bare = not self._code and (
            self._unclear or not self._blocks.sure or fence is not None
        )

    def _advance(self, stop: int) -> str:
        """Decide about the line up to `stop`; the text given out is final."""
        if self._code and not self._blocks.keeps_fence(self._line):
            self._code, self._bare = False, True
        if self._blocks.sure and (stray := _STRAY_BREAK.search(self._line, max(0, self._seen - 1))):
            return self._lose_track(stray.start(), stop)
        if self._code:
            return self._give(stop, raw=True)
        if self._bare:
            return self._give(stop)
        return self._inline(stop)

    def _lose_track(self, where: int, stop: int) -> str:
        """At `where` is a line break to some and none to others: what comes after it is not known to be code."""
        safe = self._give(where, raw=True) if self._code else self._inline(where)
        self._blocks.sure = False
        self._code, self._bare, self._span, self._held = False, True, 0, -1
        return safe + self._give(stop)

    def _inline(self, stop: int) -> str:
        safe: list[str] = []
        for token in _TOKEN.finditer(self._line, self._seen, stop):
            mark = token[0][0]
            if mark == "`" and self._span:
                if len(token[0]) == self._span:
                    safe.append(self._close_span(token.end()))
            elif mark == "`":
                self._open_span(token.start(), len(token[0]))
            elif mark == "<" and self._span and self._held < 0:
                self._held = token.start()
            elif mark == "|" and self._span:
                self._bare = True
            if self._bare:
                self._span, self._held = 0, -1
                break
        safe.append(self._give(stop if self._held < 0 else self._held))
        self._seen = max(self._seen, stop)
        return "".join(safe)

    def _open_span(self, start: int, length: int) -> None:
        before = self._line[self._segment : start]
        if length > LONGEST_RUN or _may_swallow(before, self._segment == 0):
            self._bare = True
        else:
            self._span = length

    def _close_span(self, end: int) -> str:
        safe = ""
        if self._held >= 0:
            safe = self._give(self._held) + self._give(end, raw=True)
        self._span, self._held, self._segment = 0, -1, end
        return safe

    def _give(self, stop: int, raw: bool = False) -> str:
        text = self._line[self._done : stop]
        self._done = max(self._done, stop)
        self._seen = max(self._seen, self._done)
        return text if raw else _neutral(text)

    def _end_line(self) -> None:
        line = self._line
        rest = line[self._segment :]
        swallowing = ("[" in rest or "]" in rest) and _may_swallow(rest, self._segment == 0)
        self._blocks.take(line)
        if self._blocks.fence is not None or not line.strip(" \t\r"):
            self._unclear = False
        elif not self._code:
            self._unclear = self._unclear or self._bare or self._span > 0 or swallowing
        self._begin_line()


def neutralise(text: str) -> str:
    """The whole text, made unable to notify anybody; for what is not streamed: titles, errors, labels."""
    if not _PING.search(text):
        return text
    guard = MentionGuard()
    return guard.feed(text) + guard.finish()


def _neutral(text: str) -> str:
    return _PING.sub("&lt;", text) if "<" in text else text


def _may_swallow(text: str, begins_line: bool) -> bool:
    """Whether a backtick behind `text` may belong to something else than a span of code."""
    return bool(_SWALLOWS.search(text) or (begins_line and _NO_PROSE.match(text)))


def _settled(line: str) -> int:
    """How much of an unfinished line cannot be changed in meaning by what follows."""
    if line.endswith("\r"):
        return len(line) - 1
    bare = line.rstrip("`")
    if len(bare) < len(line):
        return len(bare)
    bare = line.rstrip("\\")
    return len(bare) - 1 if bare.endswith("<") else len(line)


class _Blocks:
    """Follows fences line by line, and whether all readers of Markdown can be trusted to see the same ones."""

    def __init__(self) -> None:
        self.fence: Fence | None = None
        self.sure = True
        self._certainly_top = True
        """The open fence belongs to no list item."""
        self._items: list[int] = []
        """Columns where the content of list items begins that are certainly open."""
        self._maybe_list = False
        self._blank = True
        """The line before was blank, or there was none."""
        self._quoted: Fence | None = None

    def keeps_fence(self, line: str) -> bool:
        """Whether a line, of which at least the beginning is known, stays in the open fence for every reader."""
        return self.fence is None or self._keeps(self.fence, line)

    def take(self, line: str) -> None:
        """One whole line, without its newline."""
        before = self.fence
        self.fence = after_line(before, line)
        if before is not None:
            self._inside(before, line)
        elif not line.strip(" \t\r"):
            self._blank = True
        else:
            self._outside(line)
            self._blank = False

    def _inside(self, fence: Fence, line: str) -> None:
        deepest = 3 if self._certainly_top else max(3, fence.indent)
        closes_too_deep = self.fence is None and _columns(line) > deepest
        misread = fence.run[0] == "~" and _FENCE_LIKE.match(line) and "`" in line
        if closes_too_deep or misread or not self._keeps(fence, line):
            self.sure = False
        if self.fence is None:
            self._blank = False

    def _keeps(self, fence: Fence, line: str) -> bool:
        return self._certainly_top or not line.strip(" \t\r") or _columns(line) >= fence.indent

    def _outside(self, line: str) -> None:
        if _QUOTED.match(line):
            self._quote(line)
            return
        if self._quoted is not None:
            self.sure, self._quoted = False, None
        if self.fence is not None:
            self._opened(self.fence, line)
        elif _FENCE_LIKE.match(line) and "`" not in line.lstrip(" \t-*+.)0123456789").lstrip("`"):
            self.sure = False
        else:
            self._follow_list(line)

    def _quote(self, line: str) -> None:
        self._quoted = after_line(self._quoted, line.lstrip(" \t>"))
        self._items.clear()
        self._maybe_list = self._maybe_list or _ITEM_LIKE.match(line) is not None

    def _opened(self, fence: Fence, line: str) -> None:
        lead = line[: line.index(fence.run)]
        if "\t" in lead or "|" in fence.info:  # some read the latter as the header of a table
            self.sure = False
        if fence.marked:
            self._follow_list(line)
            certain = bool(self._items) and self._items[-1] == fence.indent
        else:
            while self._items and self._items[-1] > fence.indent:
                self._items.pop()
            certain = fence.indent <= 3 or (
                bool(self._items) and fence.indent - self._items[-1] <= 3
            )
        if not certain:
            self.sure = False
        if fence.indent == 0:
            self._maybe_list = False
        self._certainly_top = not self._maybe_list

    def _follow_list(self, line: str) -> None:
        indent = _columns(line)
        depth = len(self._items)
        while self._items and self._items[-1] > indent:
            self._items.pop()
        if not _ITEM_LIKE.match(line):
            if self._blank and indent == 0:
                self._maybe_list = False
            return
        self._maybe_list = True
        at = 0
        while (item := _ITEM.match(line, at)) and not _RULE.fullmatch(line):
            top = self._items[-1] if self._items else 0
            free = self._blank or len(self._items) < depth or item[3] in (None, "1")
            if item.start(2) - top > 3 or not free:
                break
            self._items.append(item.end())
            at = item.end()


def _columns(line: str) -> int:
    """How far the line is indented."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))
