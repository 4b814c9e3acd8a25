"""What of a growing text can be shown now.

`renderable` is for a message that will be replaced: nothing in it looks broken, what is open is closed, what is half is
left out. `unstable_suffix` is for a message that can only be appended to: it says how many characters at the end had
better wait. Both look at the end of the text only, except that they must know whether a fence is open.
"""

from __future__ import annotations

import re

from handlers.markdown.grammar import CODE_SPAN, LINK, is_delimiters, needs_closing, open_fence

_MARKER_ONLY = re.compile(r"[ \t>]*(?:[-+*]|-+|=+|#{1,6}|>|~+|\d{1,9}[.)]?)?[ \t]*")
_TURNING = re.compile(r"[ \t]*(?:-+|=+|#{1,6}|`{1,2}|~{1,2})[ \t]*")
"""A line of which, in itself, more is made than is meant: a heading's underline, half a fence."""
_DELIMITERS_BEGUN = re.compile(r"[ \t]*[|:-][ \t|:-]*\r?")
_TARGET_BEGUN = r"\([^\s()]*(?:\([^\s()]*\)[^\s()]*)?(?:\([^\s()]*|[ \t]+(?:\"[^\"\n]*\"?)?)?"
_LINK_BEGUN = re.compile(rf"!?\[(?:[^\[\]\n]{{0,80}}|[^\[\]\n]{{0,500}}\](?:{_TARGET_BEGUN})?)")
_ADDRESS_BEGUN = re.compile(r"<(?:https?:|mailto:)[^\s<>]*")
_MARK = re.compile(
    rf"(?=[\\`*_~!\[<])"  # most characters need no look at the rest
    rf"(?:(?P<whole>\\.|{CODE_SPAN}|{LINK}|<[A-Za-z][^\s<>]*>)|(?P<code>`+)|(?P<mark>\*+|_+|~~)|(?P<begun>!?\[|<|(?<!\S)!$|[~\\]$))"
)


def renderable(text: str) -> str:
    """The text so far as it should stand at this moment, in a message that will be replaced; may be empty at first."""
    fence = open_fence(text)
    if fence is not None:
        if not text[fence.body :].strip():
            return text[: fence.start]
        last = text[text.rfind("\n") + 1 :]
        if set(last.strip()) == {fence.run[0]}:
            text = text[: len(text) - len(last)]
        return text + needs_closing(text)
    if _closes_fence(text):
        return text
    text = text[: _table_waits(text, replaceable=True)]
    start = text.rfind("\n") + 1
    last = text[start:]
    if _MARKER_ONLY.fullmatch(last):
        return text[:start]
    return text[:start] + _closed(last)


def unstable_suffix(text: str) -> int:
    """How many characters at the end of `text` had better wait, in a message that is only appended to.

    Prose never waits. The opening line of a fence waits for its newline, a row of a table for its end, the header of a
    table for its delimiter row, and what may become a fence or an underline for the next character.
    """
    fence = open_fence(text)
    last = text[text.rfind("\n") + 1 :]
    if fence is not None:
        if fence.body > len(text):
            return len(text) - fence.start
        return len(last) if set(last.strip()) == {fence.run[0]} else 0
    if last.strip() and _TURNING.fullmatch(last):
        return len(text) - min(_table_waits(text, replaceable=False), len(text) - len(last))
    return len(text) - _table_waits(text, replaceable=False)


def _closes_fence(text: str) -> bool:
    """Whether the last line is the end of a fence."""
    start = text.rfind("\n") + 1
    return text[start:].lstrip()[:3] in ("```", "~~~") and open_fence(text[:start]) is not None


def _table_waits(text: str, replaceable: bool) -> int:
    """Where the part of a table begins that cannot be shown yet; the length of the text when there is none.

    A table without a row waits whole when the message is replaceable, else only until its delimiter row is there.
    """
    start = text.rfind("\n") + 1
    last = text[start:]
    above = list(_pipes_above(text, start))
    if not above:
        return start if last.lstrip().startswith("|") else len(text)
    header, line = above[0]
    if len(above) == 1:
        if not line.lstrip().startswith("|") and not last:
            return len(text)
        return header if not last or _DELIMITERS_BEGUN.fullmatch(last) else len(text)
    for index in range(1, len(above)):
        if is_delimiters(above[index][1]):
            rows = len(above) - index - 1
            return above[index - 1][0] if replaceable and not rows else start
    header, line = above[-1]
    return header if last and "|" in line and _DELIMITERS_BEGUN.fullmatch(last) else len(text)


def _pipes_above(text: str, start: int) -> list[tuple[int, str]]:
    """The unbroken lines with pipes that end where the last line begins, each with its beginning, in order."""
    found: list[tuple[int, str]] = []
    while start > 0:
        begin = text.rfind("\n", 0, start - 1) + 1
        line = text[begin : start - 1]
        if "|" not in line:
            break
        found.append((begin, line.rstrip("\r")))
        start = begin
    return found[::-1]


def _closed(line: str) -> str:
    """A line that may break off anywhere, with what is open at its end closed, or left out if it is only begun."""
    stack: list[str] = []
    for match in _MARK.finditer(line):
        rest = line[match.start() :]
        if match["code"]:
            return _close_code(line, match["code"], match.start(), stack)
        if match["begun"]:
            if (
                rest in ("!", "~", "\\")
                or _LINK_BEGUN.fullmatch(rest)
                or _ADDRESS_BEGUN.fullmatch(rest)
            ):
                return _close_marks(line[: match.start()], stack)
        elif match["mark"]:
            before, after = line[: match.start()][-1:], line[match.end() :][:1]
            if after:
                _toggle(stack, match["mark"], before, after)
            elif match["mark"] in stack and not before.isspace():
                _toggle(stack, match["mark"], before, "")
            else:
                return _close_marks(line[: match.start()], stack)
    return _close_marks(line, stack)


def _close_code(line: str, run: str, start: int, stack: list[str]) -> str:
    content = line[start + len(run) :].rstrip("`")
    if not content.strip():
        return _close_marks(line[:start], stack)
    return _close_marks(line[:start] + run + content + run, stack)


def _toggle(stack: list[str], mark: str, before: str, after: str) -> None:
    """Open or close emphasis, roughly as CommonMark would; `stack` holds what is open."""
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


def _close_marks(line: str, stack: list[str]) -> str:
    if not stack:
        return line
    line = line.rstrip()
    while stack and line.endswith(stack[-1]):
        line = line[: -len(stack.pop())].rstrip()
    return line + "".join(reversed(stack))
