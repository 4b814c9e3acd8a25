"""Decides which part of a growing text can be shown now.

`renderable` is for a message that will be replaced: it closes open markup and leaves out incomplete markup, so that
nothing looks broken. `unstable_suffix` is for a message that can only be appended to: it says how many characters at
the end should wait. Both look only at the end of the text, but must know whether a fence is open.
"""

from __future__ import annotations

import re

from handlers.markdown.grammar import CODE_SPAN, LINK, closing_fence, is_delimiter_row, open_fence

_MARKER_ONLY = re.compile(r"[ \t>]*(?:[-+*]|-+|=+|#{1,6}|>|~+|\d{1,9}[.)]?)?[ \t]*")
_AMBIGUOUS_LINE = re.compile(r"[ \t]*(?:-+|=+|#{1,6}|`{1,2}|~{1,2})[ \t]*")
"""A line that Markdown would misread if it ended here: as the underline of a heading, or as half a fence."""
_PARTIAL_DELIMITER_ROW = re.compile(r"[ \t]*[|:-][ \t|:-]*\r?")
_PARTIAL_TARGET = r"\([^\s()]*(?:\([^\s()]*\)[^\s()]*)?(?:\([^\s()]*|[ \t]+(?:\"[^\"\n]*\"?)?)?"
_PARTIAL_LINK = re.compile(rf"!?\[(?:[^\[\]\n]{{0,80}}|[^\[\]\n]{{0,500}}\](?:{_PARTIAL_TARGET})?)")
_PARTIAL_AUTOLINK = re.compile(r"<(?:https?:|mailto:)[^\s<>]*")
_INLINE_TOKEN = re.compile(
    rf"(?=[\\`*_~!\[<])"  # most characters make a check of the rest unnecessary
    rf"(?:(?P<whole>\\.|{CODE_SPAN}|{LINK}|<[A-Za-z][^\s<>]*>)|(?P<code>`+)|(?P<mark>\*+|_+|~~)|(?P<begun>!?\[|<|(?<!\S)!$|[~\\]$))"
)


def renderable(text: str) -> str:
    """The text as it should be shown now in a message that will be replaced; may be empty at first."""
    fence = open_fence(text)
    if fence is not None:
        if not text[fence.body_start :].strip():
            return text[: fence.start]
        last = text[text.rfind("\n") + 1 :]
        if set(last.strip()) == {fence.run[0]}:
            text = text[: len(text) - len(last)]
        return text + closing_fence(text)
    if _ends_with_closing_fence(text):
        return text
    text = text[: _pending_table_start(text, replaceable=True)]
    start = text.rfind("\n") + 1
    last = text[start:]
    if _MARKER_ONLY.fullmatch(last):
        return text[:start]
    return text[:start] + _close_line(last)


def unstable_suffix(text: str) -> int:
    """How many characters at the end of `text` should wait, in a message that can only be appended to.

    Prose never waits. The opening line of a fence waits for its newline, a row of a table for its end, the header of a
    table for its delimiter row, and what may become a fence or an underline for the next character.
    """
    fence = open_fence(text)
    last = text[text.rfind("\n") + 1 :]
    if fence is not None:
        if fence.body_start > len(text):
            return len(text) - fence.start
        return len(last) if set(last.strip()) == {fence.run[0]} else 0
    if last.strip() and _AMBIGUOUS_LINE.fullmatch(last):
        return len(text) - min(_pending_table_start(text, replaceable=False), len(text) - len(last))
    return len(text) - _pending_table_start(text, replaceable=False)


def _ends_with_closing_fence(text: str) -> bool:
    """Whether the last line closes a fence."""
    start = text.rfind("\n") + 1
    return text[start:].lstrip()[:3] in ("```", "~~~") and open_fence(text[:start]) is not None


def _pending_table_start(text: str, replaceable: bool) -> int:
    """Where the part of a table begins that can't be shown yet; the length of the text if there is none.

    A table without rows waits as a whole if the message is replaceable, else only until its delimiter row is complete.
    """
    start = text.rfind("\n") + 1
    last = text[start:]
    above = list(_table_lines_above(text, start))
    if not above:
        return start if last.lstrip().startswith("|") else len(text)
    header, line = above[0]
    if len(above) == 1:
        if not line.lstrip().startswith("|") and not last:
            return len(text)
        return header if not last or _PARTIAL_DELIMITER_ROW.fullmatch(last) else len(text)
    for index in range(1, len(above)):
        if is_delimiter_row(above[index][1]):
            rows = len(above) - index - 1
            return above[index - 1][0] if replaceable and not rows else start
    header, line = above[-1]
    return header if last and "|" in line and _PARTIAL_DELIMITER_ROW.fullmatch(last) else len(text)


def _table_lines_above(text: str, start: int) -> list[tuple[int, str]]:
    """The consecutive lines with pipes directly above offset `start`, each with its own offset, in order."""
    found: list[tuple[int, str]] = []
    while start > 0:
        begin = text.rfind("\n", 0, start - 1) + 1
        line = text[begin : start - 1]
        if "|" not in line:
            break
        found.append((begin, line.rstrip("\r")))
        start = begin
    return found[::-1]


def _close_line(line: str) -> str:
    """An unfinished line with its open markup closed, or left out if the markup has only just begun."""
    stack: list[str] = []
    for match in _INLINE_TOKEN.finditer(line):
        rest = line[match.start() :]
        if match["code"]:
            return _close_code_span(line, match["code"], match.start(), stack)
        if match["begun"]:
            if (
                rest in ("!", "~", "\\")
                or _PARTIAL_LINK.fullmatch(rest)
                or _PARTIAL_AUTOLINK.fullmatch(rest)
            ):
                return _close_emphasis(line[: match.start()], stack)
        elif match["mark"]:
            before, after = line[: match.start()][-1:], line[match.end() :][:1]
            if after:
                _toggle_emphasis(stack, match["mark"], before, after)
            elif match["mark"] in stack and not before.isspace():
                _toggle_emphasis(stack, match["mark"], before, "")
            else:
                return _close_emphasis(line[: match.start()], stack)
    return _close_emphasis(line, stack)


def _close_code_span(line: str, run: str, start: int, stack: list[str]) -> str:
    content = line[start + len(run) :].rstrip("`")
    if not content.strip():
        return _close_emphasis(line[:start], stack)
    return _close_emphasis(line[:start] + run + content + run, stack)


def _toggle_emphasis(stack: list[str], mark: str, before: str, after: str) -> None:
    """Opens or closes emphasis roughly as CommonMark does; `stack` holds the open marks."""
    if before and not before.isspace():
        if mark in stack:
            del stack[stack.index(mark) :]
            return
        if mark == "***" and {"**", "*"} <= set(stack):
            del stack[min(stack.index("**"), stack.index("*")) :]
            return
    word = mark[0] == "_" and before.isalnum()
    if after and not after.isspace() and not word and len(mark) <= 3:
        stack.append(mark)


def _close_emphasis(line: str, stack: list[str]) -> str:
    if not stack:
        return line
    line = line.rstrip()
    while stack and line.endswith(stack[-1]):
        line = line[: -len(stack.pop())].rstrip()
    return line + "".join(reversed(stack))
