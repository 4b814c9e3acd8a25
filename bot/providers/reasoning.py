"""Separates a model's reasoning from its answer where both come as one text, by the marks of all families. Pure.

The marks are those that the models' own chat templates use; inference servers that know a model remove them, the others
send them on. Marks in code (a block, a span) and in quotations are part of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum, auto

from bot.providers.code_spans import CodeSpans

_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning", "reason", "reflection", "antthinking", "seed:think",
         "mm:think", "scratchpad", "longcat_think")  # fmt: skip
"""Names of XML-like tags: DeepSeek, Qwen, GLM, MiniMax and most others; Claude; EXAONE; Reka; Seed."""
_PAIRS: dict[str, str] = {
    **{f"<{tag}>": f"</{tag}>" for tag in _TAGS},
    "[think]": "[/think]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|begin_of_thought|>": "<|end_of_thought|>",  # Sky-T1, Bespoke
    "<|start_thinking|>": "<|end_thinking|>",  # Command A
    "<|thinking|>": "<|/thinking|>",
    "<|think|>": "<|/think|>",
    "<|inner_prefix|>": "<|inner_suffix|>",  # Apertus
    "<|channel>thought": "<channel|>",  # Gemma
    "<unused94>": "<unused95>",  # MedGemma
}
_CLOSING = frozenset({*_PAIRS.values(), "[begin final response]"})  # the latter: Apriel
_SILENT = frozenset(
    {"<|start_response|>", "<|end_response|>", "<|begin_of_solution|>", "<|end_of_solution|>"}
    | {"<|start|>assistant", "<|end|>", "<|return|>", "<|call|>", "<|message|>"}
    | {"[end final response]", "<|im_end|>", "<|eot_id|>", "<|endoftext|>"}
)
"""Marks of templates that frame an answer and are no part of it."""
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w*)(?:(?!<\|message\|>).){0,60}<\|message\|>", re.IGNORECASE | re.DOTALL
)
"""Harmony (gpt-oss): all channels but `final` are reasoning."""
_FINAL = "<|channel|>final<|message|>"
_ANY_CLOSING = _CLOSING | {_FINAL}
_ANSWER, _END_OF_ANSWER = "<answer>", "</answer>"
"""Around the answer if reasoning stands before it (Hunyuan); else these are words like any other."""
_BARE_FINAL = "assistantfinal"
"""What is left of harmony's marks where a server removes special tokens."""
_BARE_ANALYSIS = re.compile(r"(analysis|commentary)(?=[A-Z\"'(¿¡“])")
_MARK = re.compile(
    "|".join(
        [
            _CHANNEL.pattern,
            *sorted(
                map(re.escape, {*_PAIRS, *_CLOSING, *_SILENT, _ANSWER, _END_OF_ANSWER}),
                key=len,
                reverse=True,
            ),
        ]
    ),
    re.IGNORECASE | re.DOTALL,
)
_LITERALS = (*_PAIRS, *_CLOSING, *_SILENT, _ANSWER, _END_OF_ANSWER, "<|channel|>", _BARE_FINAL)
_FIRSTS = frozenset(literal[0] for literal in (*_PAIRS, *_CLOSING, *_SILENT))
_LONGEST = 90
"""Characters of the longest mark: a channel with a recipient."""
_QUOTES = tuple("`\"'”’»")
_MAX_LEADING_SPACE = 1_000
"""Characters of white space before the first word that are kept."""


class _Phase(Enum):
    """Where in an answer a `ReasoningFilter` is: START ──▶ TEXT ◀──▶ REASONING, and START ──▶ REASONING."""

    START = auto()
    """At most white space, or the beginning of a mark, has arrived."""
    REASONING = auto()
    TEXT = auto()


class ReasoningFilter:
    """Takes the reasoning out of one answer, wherever the chunks split it.

    White space before the first word is held back, so that an answer of nothing else counts as empty.
    """

    def __init__(self, *, begins_inside: bool = False) -> None:
        """`begins_inside`: this model's answers have been seen to begin with reasoning without an opening mark."""
        self._phase = _Phase.REASONING if begins_inside else _Phase.START
        self._closes: Collection[str] = _ANY_CLOSING
        self._held = ""
        self._hidden: list[str] | None = [] if begins_inside else None
        """What is hidden without certainty: if nothing closes it, it was part of the answer. None: it is certain."""
        self._code = CodeSpans()
        self._opened = False
        """An opening mark has been passed, so that a closing one alone says nothing of what came before."""
        self._just_closed = False
        self._shown = False
        """Some text other than white space belongs to the answer."""
        self._reasoned = begins_inside
        self._has_answer_tag = False
        self._is_final = False
        """Harmony's mark of the final channel has been passed."""
        self._reasoned_now = False
        self.retractions = 0
        """How often a closing mark without an opening one has shown that all text before it was reasoning."""

    def feed(self, text: str) -> str:
        """The part of `text` that belongs to the answer. Counts `retractions` when what was given before does not."""
        if self._phase is _Phase.TEXT and not self._held and _FIRSTS.isdisjoint(text):
            return self._text(text)
        self._held += text
        parts: list[str] = []
        while self._step(parts):
            pass
        return "".join(parts)

    def reasoned_now(self) -> bool:
        """Whether some text since the last call was reasoning."""
        reasoned, self._reasoned_now = self._reasoned_now, False
        return reasoned

    def flush(self, *, whole: bool) -> str:
        """The text that was held back and turns out to belong to the answer.

        `whole`: the server says that the answer is complete, so that what nothing closes was no reasoning.
        """
        held, self._held = self._held, ""
        if self._phase is _Phase.REASONING:
            return "".join([*self._hidden, held]) if self._hidden is not None and whole else ""
        return self._text(held) if self._shown or held.strip() else ""

    def _step(self, parts: list[str]) -> bool:
        """Moves past one mark; False when there is none in what is held."""
        if self._phase is _Phase.REASONING:
            return self._skip_reasoning()
        if self._phase is _Phase.START and self._opens_bare_channel():
            return True
        mark = _MARK.search(self._held)
        if mark is None:
            self._release(parts)
            return False
        before, self._held = self._held[: mark.start()], self._held[mark.end() :]
        if self._shown or before.strip():
            parts.append(self._text(before))
        if self._code.inside:
            parts.append(self._text(mark[0]))
        else:
            self._pass(mark, parts)
        return True

    def _pass(self, mark: re.Match[str], parts: list[str]) -> None:
        """Does what a mark means."""
        name, channel = mark[0].lower(), mark[1]
        if name in _CLOSING and self._opened:
            if self._shown:
                parts.append(self._text(mark[0]))
        elif name in _CLOSING:
            self._retract(parts)
        elif name in _PAIRS:
            self._enter_reasoning(mark[0], _PAIRS[name])
        elif channel is not None:
            self._pass_channel(mark[0], channel.lower(), parts)
        elif name in (_ANSWER, _END_OF_ANSWER):
            self._pass_answer_tag(mark[0], parts)

    def _pass_channel(self, mark: str, channel: str, parts: list[str]) -> None:
        """The first final channel shows that what stood before it was none."""
        if channel != "final":
            self._enter_reasoning(mark, _FINAL)
        elif self._shown and not self._is_final:
            self._retract(parts)
        self._is_final = self._is_final or channel == "final"

    def _pass_answer_tag(self, mark: str, parts: list[str]) -> None:
        if self._reasoned and not self._shown:
            self._has_answer_tag = True
        elif not self._has_answer_tag:
            parts.append(self._text(mark))

    def _enter_reasoning(self, mark: str, close: str) -> None:
        self._phase = _Phase.REASONING
        self._closes = (close,)
        self._hidden = [mark] if self._shown else None
        self._opened = self._reasoned = self._reasoned_now = True

    def _opens_bare_channel(self) -> bool:
        begun = _BARE_ANALYSIS.match(self._held)
        if begun is None:
            return False
        self._held = self._held[begun.end() :]
        self._enter_reasoning("", _BARE_FINAL)
        return True

    def _skip_reasoning(self) -> bool:
        """Drops what is held up to the closing mark, and all but the beginning of one if there is none."""
        self._reasoned_now = self._reasoned_now or bool(self._held.strip())
        end = _end_of(self._held, self._closes)
        if end is not None:
            self._held, self._hidden = self._held[end:], None
            self._is_final = self._is_final or _FINAL in self._closes
            self._phase, self._just_closed = _Phase.TEXT, True
            return True
        if self._hidden is not None:
            self._hidden.append(self._held[:-_LONGEST])
        self._held = self._held[-_LONGEST:]
        return False

    def _retract(self, parts: list[str]) -> None:
        parts.clear()
        self.retractions += 1
        self._reasoned = self._reasoned_now = True
        self._phase = _Phase.TEXT
        self._shown = False
        self._code = CodeSpans()

    def _release(self, parts: list[str]) -> None:
        """Gives what is held, except what may be the beginning of a mark."""
        end = len(self._held) - _begun_mark(self._held, at_start=self._phase is _Phase.START)
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
        return text


def _end_of(text: str, closes: Collection[str]) -> int | None:
    """Where the first of these marks ends in the text; None: none is there."""
    lower = text.lower()
    ends = [at + len(mark) for mark in closes if (at := lower.find(mark)) >= 0]
    if _FINAL in closes:
        ends += [mark.end() for mark in _CHANNEL.finditer(text) if mark[1].lower() == "final"][:1]
    return min(ends, default=None)


def _begun_mark(text: str, *, at_start: bool) -> int:
    """How many characters at the end of the text may be the beginning of a mark."""
    tail = text[-_LONGEST:].lower()
    for length in range(len(tail), 0, -1):
        end = tail[-length:]
        if end[0] in _FIRSTS and any(literal.startswith(end) for literal in _LITERALS):
            return length
        if end.startswith("<|channel|>"):
            return length
    if (
        at_start
        and text.lstrip()
        and ("analysis".startswith(text) or "commentary".startswith(text))
    ):
        return len(text)
    return 0
