"""Separates a model's reasoning from its answer if both arrive as one text, by the marks of all model families. Pure.

Inference servers that know a model remove its marks, the others pass them on. Marks in code (a block, a span) and in
quotations belong to the answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto

from bot.providers.code_spans import CodeSpans
from bot.providers.reasoning_marks import (
    ANSWER_TAGS,
    ANY_CLOSING,
    BEGINNINGS,
    CHANNEL,
    CLOSING,
    FINAL,
    FIRSTS,
    LONGEST,
    MARK,
    PAIRS,
    beginning_of,
    closing_pattern,
    is_escaped,
    length_of_begun_mark,
    name_of,
)

_AFTER_MENTION = re.compile(r"[.,;:!?…\"'”’»)—–*_]|[ ](?:->|[→—–=+])|[ \t]?\n|\s[a-z(]|\s?\|")
"""Continues a sentence that mentions a mark as a separate word; neither reasoning nor an answer begins like this."""
_AFTER_SUBJECT = re.compile(
    r"[,;]| (?:and|or|tags?|tokens?|marks?|markers?|is|are|was|opens?|closes?|starts|begins|ends|means)\b(?!$)"
)
"""Continues a sentence that begins with a mark."""
_MAY_GO_ON = re.compile(r"\s?|\s[a-z]{1,7}|\s-")
"""The beginnings of such words."""
_MAX_EXAMPLE = 40
"""The most characters between two marks that an answer may name together at its beginning: `<think>…</think> is
how…`.
"""
_MAX_AWAITED = 100
"""Characters of white space after a closing mark while the next word is awaited."""
_QUOTES = tuple("`\"'”’»")
_MAX_LEADING_SPACE = 1_000
"""Characters of white space before the first word that are kept."""


class _Phase(Enum):
    """The phases of a `ReasoningFilter`: START ──▶ TEXT ◀──▶ REASONING, and START ──▶ REASONING."""

    START = auto()
    """At most white space, or the beginning of a mark, has arrived."""
    REASONING = auto()
    TEXT = auto()


@dataclass(slots=True)
class _Doubt:
    """A closing mark without an opening one, in a quotation that is still open."""

    quotation: int
    after: str = ""
    """The text since the mark."""


class ReasoningFilter:
    """Removes the reasoning from one answer, wherever the chunks split it.

    White space before the first word is held back, so that an answer of nothing else counts as empty.
    """

    def __init__(self, *, begins_inside: bool = False) -> None:
        """`begins_inside`: this model's answers are known to begin with reasoning without an opening mark."""
        self._phase = _Phase.START
        self._closes: Collection[str] = ANY_CLOSING
        self._held = ""
        self._hidden: list[str] | None = None
        """What is hidden without certainty: if nothing closes it, it was part of the answer. None: it is certain."""
        self._waiting: list[str] | None = [] if begins_inside else None
        """Text that belongs to the answer unless a closing mark alone retracts it, as in the model's answers before."""
        self._code = CodeSpans()
        self._doubt: _Doubt | None = None
        self._opened = False
        """An opening mark has been passed, so that a closing one alone says nothing of what came before."""
        self._is_escaped = False
        """That mark was spelled with escapes."""
        self._began_with_words = False
        """Words, not a mark, opened the reasoning: until others close it, it may be the answer."""
        self._nested = False
        """The reasoning has opened once more within itself, so the next closing mark may not be its last."""
        self._mentioned: set[str] = set()
        """Marks of which the answer speaks, and those that close them."""
        self._is_complete = False
        """No more text comes."""
        self._is_whole = False
        self._just_closed = False
        self._shown = False
        """Some text other than white space belongs to the answer."""
        self._reasoned = False
        self._has_answer_tag = False
        self._is_final = False
        """Harmony's mark of the final channel has been passed."""
        self._reasoned_now = False
        self._reasoning_parts: list[str] = []
        """Reasoning that has not been asked for."""
        self.retractions = 0
        """How often a closing mark without an opening one has shown that all text before it was reasoning."""
        self.begins_inside = False
        """It is certain that the answer began with reasoning that no mark opened: the next ones may."""

    def feed(self, text: str) -> str:
        """The part of `text` that belongs to the answer. Increments `retractions` if earlier output does not belong to
        it.
        """
        known = self.retractions
        shown = self._feed(text)
        return shown if self._waiting is None else self._wait(shown, known)

    def _feed(self, text: str) -> str:
        if self._is_plain(text):
            return self._text(text)
        self._held += text
        parts: list[str] = []
        while self._step(parts):
            self._settle_doubt(parts)
        self._settle_doubt(parts)
        return "".join(parts)

    def _wait(self, shown: str, known: int) -> str:
        """Holds text back as long as a closing mark may still retract it."""
        waiting = self._waiting if self._waiting is not None else []
        if self.retractions > known:
            self._waiting = None
            self._reasoning_parts[:0] = waiting
            return shown
        if self._opened or self._is_final:
            self._waiting = None
            return "".join([*waiting, shown])
        self._reasoned_now = self._reasoned_now or bool(shown.strip())
        waiting.append(shown)
        return ""

    def _is_plain(self, text: str) -> bool:
        is_free = self._phase is _Phase.TEXT and not self._held and self._doubt is None
        return is_free and FIRSTS.isdisjoint(text)

    def reasoned_now(self) -> bool:
        """Whether some text since the last call was reasoning."""
        reasoned, self._reasoned_now = self._reasoned_now, False
        return reasoned

    def take_reasoning(self) -> str:
        """The reasoning since the last call, as far as it is certain; without what was retracted."""
        reasoning, self._reasoning_parts = "".join(self._reasoning_parts), []
        return reasoning

    def flush(self, *, whole: bool) -> str:
        """Text that was held back and turns out to belong to the answer.

        `whole`: the server says that the answer is complete, so anything unclosed was not reasoning.
        """
        self._is_complete, self._is_whole = True, whole
        known = self.retractions
        rest = self._rest()
        if self._waiting is None:
            return rest
        rest = self._wait(rest, known)
        waiting, self._waiting = self._waiting, None
        return "".join([*(waiting or ()), rest]) if whole else rest

    def _rest(self) -> str:
        parts: list[str] = [self._feed("")]
        held, self._held = self._held, ""
        if self._phase is _Phase.REASONING:
            is_given = self._hidden is not None and (self._is_whole or self._began_with_words)
            return "".join([*parts, *(self._hidden or ()), held]) if is_given else "".join(parts)
        if self._shown or held.strip():
            parts.append(self._text(held))
        if self._is_whole:
            self._code.end()
            self._settle_doubt(parts)
        return "".join(parts)

    def _step(self, parts: list[str]) -> bool:
        """Moves past one mark; False if the held text contains none."""
        if self._phase is _Phase.REASONING:
            return self._skip_reasoning()
        if self._phase is _Phase.START and self._begins_with_words():
            return True
        mark = MARK.search(self._held)
        if mark is None:
            self._release(parts)
            return False
        before, self._held = self._held[: mark.start()], self._held[mark.end() :]
        if self._shown or before.strip():
            parts.append(self._text(before))
        is_mentioned = self._is_mentioned(mark[0])
        if is_mentioned is None:
            self._held = mark[0] + self._held
            return False
        if is_mentioned or self._code.inside:
            self._show(mark[0], parts, is_certain=is_mentioned)
        else:
            self._pass(mark, parts)
        return True

    def _is_mentioned(self, mark: str) -> bool | None:
        """Whether a sentence mentions the mark before the held text; None if only the following text can tell."""
        name = name_of(mark)
        in_sentence = self._shown and self._code.in_sentence
        if self._shown and self._stands_in_text(name, mark):
            return True
        if not (in_sentence or name in PAIRS or name in CLOSING):
            return False
        after = self._held + "\n" if self._is_complete else self._held
        if (_AFTER_MENTION if in_sentence else _AFTER_SUBJECT).match(after):
            return True
        if self._shown and name in CLOSING and not self._opened and not self._held.strip():
            return self._may_be_last()
        if name in PAIRS and not self._shown:
            return self._begins_with_pair(name)
        return None if _MAY_GO_ON.fullmatch(self._held) and not self._is_complete else False

    def _begins_with_pair(self, name: str) -> bool | None:
        """Whether a sentence begins with the mark and its closing mark, in one line; None if it still may."""
        line = self._held[:_MAX_EXAMPLE].partition("\n")[0]
        closing = closing_pattern(frozenset(PAIRS[name])).search(self._held, 0, len(line) + LONGEST)
        if closing is None or closing.start() > len(line):
            return None if self._held == line and not self._is_complete else False
        after = self._held[closing.end() :]
        if closing.groupdict().get("opens") is None and _AFTER_SUBJECT.match(after):
            return True
        return None if _MAY_GO_ON.fullmatch(after) and not self._is_complete else False

    def _stands_in_text(self, name: str, mark: str) -> bool:
        """Whether no model puts a mark in this position of a text, or the text has mentioned the mark before."""
        is_within = not self._code.begins_line or self._code.is_introduced
        is_known = name in self._mentioned or (name in PAIRS and is_within)
        return is_known or is_escaped(mark) or self._code.begins_item

    def _may_be_last(self) -> bool | None:
        """Whether nothing follows a closing mark: without the text before it, the answer would be empty."""
        if self._is_complete:
            return self._is_whole
        return None if len(self._held) < _MAX_AWAITED else False

    def _show(self, mark: str, parts: list[str], *, is_certain: bool) -> None:
        """Takes a mark for text of the answer; unless that is certain, the rest of its line may decide."""
        name = name_of(mark)
        self._mentioned.update(PAIRS.get(name, ()), [name] if is_certain else ())
        is_lone = name in CLOSING and not self._opened and not is_certain
        quotation = self._code.quotation() if is_lone else None
        parts.append(self._text(mark))
        if quotation is not None:
            self._doubt = _Doubt(quotation)

    def _settle_doubt(self, parts: list[str]) -> None:
        """Decides about a mark in a quotation as soon as it is clear whether it was one."""
        doubt = self._doubt
        if doubt is None:
            return
        if self._code.is_unclosed(doubt.quotation):
            self._retract(parts)
            parts.append(self._text(doubt.after))
        elif self._code.quotation() != doubt.quotation:
            self._doubt = None

    def _pass(self, mark: re.Match[str], parts: list[str]) -> None:
        """Applies the effect of a mark."""
        name, channel = name_of(mark[0]), mark[1]
        if name in CLOSING and self._opened:
            if self._shown:
                parts.append(self._text(mark[0]))
        elif name in CLOSING:
            is_certain = self._code.begins_line and not self._mentioned
            self.begins_inside = self.begins_inside or is_certain
            self._retract(parts)
        elif name in PAIRS:
            self._is_escaped = is_escaped(mark[0])
            is_open = self._shown or self._is_escaped
            self._enter_reasoning(PAIRS[name], hidden=mark[0] if is_open else None)
        elif channel is not None:
            self._pass_channel(mark[0], channel.lower(), parts)
        elif name in ANSWER_TAGS:
            self._pass_answer_tag(mark[0], parts)

    def _pass_channel(self, mark: str, channel: str, parts: list[str]) -> None:
        """The first final channel shows that the text before it was not part of the answer."""
        if channel != "final":
            self._enter_reasoning((FINAL,), hidden=mark if self._shown else None)
        elif self._shown and not self._is_final:
            self.begins_inside = True
            self._retract(parts)
        self._is_final = self._is_final or channel == "final"

    def _pass_answer_tag(self, mark: str, parts: list[str]) -> None:
        if self._reasoned and not self._shown:
            self._has_answer_tag = True
        elif not self._has_answer_tag:
            parts.append(self._text(mark))

    def _enter_reasoning(self, closes: Collection[str], *, hidden: str | None) -> None:
        """`hidden`: the mark, if it is uncertain whether it is one; see `_hidden`."""
        self._phase = _Phase.REASONING
        self._closes = closes
        self._hidden = None if hidden is None else [hidden]
        self._opened = self._reasoned = self._reasoned_now = True

    def _begins_with_words(self) -> bool:
        """Whether the answer begins with words, not a mark, that open its reasoning; if so, moves past them."""
        begun = beginning_of(self._held)
        if begun is None:
            return False
        words, closes = begun
        self._held = self._held[len(words) :]
        self._began_with_words = words.lower().lstrip() in BEGINNINGS
        self._enter_reasoning(closes, hidden=words)
        return True

    def _skip_reasoning(self) -> bool:
        """Drops held text up to the closing mark; without one, everything except a possible beginning of one."""
        self._reasoned_now = self._reasoned_now or bool(self._held.strip())
        mark = _inner_mark(self._held, self._closes)
        if mark is not None:
            return self._pass_inner(mark)
        self._hide(self._held[:-LONGEST])
        self._held = self._held[-LONGEST:]
        return False

    def _pass_inner(self, mark: re.Match[str]) -> bool:
        """Moves past a mark within reasoning: one that closes it, or opens it once more."""
        before, self._held = self._held[: mark.start()], self._held[mark.end() :]
        is_quoted = is_escaped(mark[0]) and not self._is_escaped
        if is_quoted or mark.groupdict().get("opens") is not None:
            self._nested = self._nested or not is_quoted
            self._hide(before + mark[0])
            return True
        self._reasoning_parts += [*(self._hidden or ()), before]
        self._hidden = None
        self._is_final = self._is_final or FINAL in self._closes
        self._phase, self._just_closed = _Phase.TEXT, True
        self._opened, self._nested = self._opened and not self._nested, False
        return True

    def _hide(self, text: str) -> None:
        (self._reasoning_parts if self._hidden is None else self._hidden).append(text)

    def _retract(self, parts: list[str]) -> None:
        self._reasoning_parts += parts
        parts.clear()
        self._doubt = None
        self.retractions += 1
        self._reasoned = self._reasoned_now = True
        self._phase = _Phase.TEXT
        self._shown = False
        self._code = CodeSpans()

    def _release(self, parts: list[str]) -> None:
        """Outputs the held text, except a possible beginning of a mark."""
        end = len(self._held) - length_of_begun_mark(
            self._held, at_start=self._phase is _Phase.START
        )
        if self._shown or self._held[:end].strip():
            parts.append(self._text(self._held[:end]))
            self._held = self._held[end:]
        elif not self._held.strip():
            self._held = "" if self._reasoned else self._held[-_MAX_LEADING_SPACE:]

    def _text(self, text: str) -> str:
        quoted = self._just_closed and text[:1] in _QUOTES
        if quoted:
            # A closing mark that the reasoning only quoted was not its end: the next one is.
            self._opened = False
        self._just_closed = self._just_closed and not text
        if not self._shown:
            text = text.lstrip() if self._reasoned else text
            self._shown = bool(text.strip())
            self._phase = _Phase.TEXT if self._shown else self._phase
        self._code.feed(text[1:] if quoted else text)
        if self._doubt is not None:
            self._doubt.after += text
        return text


def _inner_mark(text: str, closes: Collection[str]) -> re.Match[str] | None:
    """The first mark in reasoning that one of these marks closes: one of them, or one that opens it once more."""
    found = [closing_pattern(frozenset(closes)).search(text)]
    if FINAL in closes:
        found += [mark for mark in CHANNEL.finditer(text) if mark[1].lower() == "final"][:1]
    return min(filter(None, found), key=lambda mark: (mark.end(), mark.start()), default=None)
