"""The marks between which models of all families put their reasoning, and those that frame their answers. Pure.

They are those of the models' own chat templates, of vLLM's and llama.cpp's parsers, and of widely used prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TAGS = (
    "think", "thinking", "thought", "thoughts", "reason", "reasoning", "reflection", "rethink", "deepthink", "cot",
    "chain_of_thought", "scratchpad", "scratch_pad", "inner_monologue", "inner_thought", "inner_thoughts",
    "internal_thought", "internal_thoughts", "thought_process", "thinking_process", "reasoning_process",
    "reasoning_content", "think_fast", "think_faster", "think:opensource", "antthinking", "seed:think", "mm:think",
    "ds_think", "longcat_think",
)  # fmt: skip
"""Names of XML-like tags: DeepSeek, Qwen, GLM, MiniMax and most others; Claude; EXAONE; Reka; Seed; K2; Hunyuan."""
_TOKENS = ("think", "thinking", "thought", "reasoning", "cot")
_TOKEN_SHAPES = (
    ("<|{0}|>", "<|/{0}|>"),
    ("<|{0}_start|>", "<|{0}_end|>"),
    ("<|start_{0}|>", "<|end_{0}|>"),
    ("<|begin_{0}|>", "<|end_{0}|>"),
    ("<|start_of_{0}|>", "<|end_of_{0}|>"),
    ("<|begin_of_{0}|>", "<|end_of_{0}|>"),
)
"""How special tokens are spelled: Command A, Sky-T1, Bespoke, Solar and others."""
_DEEPSEEK = str.maketrans("|_", "｜▁")
"""How DeepSeek spells its special tokens."""
_DETAILS = '<details type="reasoning"'
"""Begins a tag with further attributes: Open WebUI."""
_BRACKETED = ("think", "thinking", "reasoning")  # the first: Magistral


def _pairs() -> Iterator[tuple[str, str]]:
    yield from ((f"<{tag}>", f"</{tag}>") for tag in _TAGS)
    yield from ((f"[{name}]", f"[/{name}]") for name in _BRACKETED)
    for name in _TOKENS:
        for shapes in _TOKEN_SHAPES:
            opening, closing = (shape.format(name) for shape in shapes)
            yield opening, closing
            yield opening.translate(_DEEPSEEK), closing.translate(_DEEPSEEK)
    yield "◁think▷", "◁/think▷"  # Kimi
    yield "<|inner_prefix|>", "<|inner_suffix|>"  # Apertus
    yield "<|channel>thought", "<channel|>"  # Gemma
    yield "<unused94>", "<unused95>"  # MedGemma
    yield "<ctrl94>", "<ctrl95>"  # Gemini
    yield "<|im_start|>think", "<|im_end|>"
    yield _DETAILS, "</details>"


PAIRS: dict[str, tuple[str, ...]] = {opening: (closing,) for opening, closing in _pairs()}
"""What may close each opening mark."""
PAIRS["<|think|>"] += ("<|end|>",)  # Solar
_FRAMED_BY_OTHERS = frozenset({"<|im_end|>", "</details>", "<|end|>"})
"""Closing marks that alone say nothing of what came before."""
CLOSING = frozenset(
    {closing for closings in PAIRS.values() for closing in closings} - _FRAMED_BY_OTHERS
    | {"[begin final response]"}  # Apriel
)
SILENT = frozenset(
    {"<|start_response|>", "<|end_response|>", "<|begin_of_solution|>", "<|end_of_solution|>"}
    | {"<|start|>assistant", "<|begin|>assistant", "<|end|>", "<|return|>", "<|call|>", "<|message|>", "<|content|>"}
    | {"<|im_start|>assistant", "<|im_start|>answer", "<|assistant|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>"}
    | {"<|start_header_id|>assistant<|end_header_id|>", "[end final response]"}
)  # fmt: skip
"""Marks of templates that frame an answer and are no part of it."""

CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w*)(?:(?!<\|message\|>).){0,60}<\|message\|>", re.IGNORECASE | re.DOTALL
)
"""Harmony (gpt-oss): all channels but `final` are reasoning."""
FINAL = "<|channel|>final<|message|>"
ANY_CLOSING = CLOSING | {FINAL}

_ANSWER_TAGS = ("answer", "response", "output", "solution", "final_answer", "final")
ANSWER_TAGS = frozenset(mark for tag in _ANSWER_TAGS for mark in (f"<{tag}>", f"</{tag}>"))
"""Around the answer if reasoning stands before it (Hunyuan, Granite, ERNIE); else these are words like any other."""

BEGINNINGS: dict[str, tuple[str, ...]] = {
    "here is my thought process:": ("here is my response:", "here's my response:"),  # Granite
    "here's my thought process:": ("here is my response:", "here's my response:"),
    "here are my reasoning steps:": ("[begin final response]",),  # Apriel
}
"""Words that begin reasoning where an answer begins, and those that end it."""
BARE_FINAL = "assistantfinal"
"""What is left of harmony's marks where a server removes special tokens."""
BARE_CHANNELS = ("analysis", "commentary")
BARE_CHANNEL = re.compile(rf"({'|'.join(BARE_CHANNELS)})(?=[A-Z\"'(¿¡“])")


def _pattern(mark: str) -> str:
    if mark == _DETAILS:
        return re.escape(mark) + "[^<>]{0,60}>"
    # In Markdown a name in brackets may be that of a link.
    return re.escape(mark) + (r"(?=[^(\[:])" if mark[0] == "[" and mark in PAIRS else "")


_LITERALS = frozenset({*PAIRS, *CLOSING, *SILENT, *ANSWER_TAGS})
MARK = re.compile(
    "|".join([CHANNEL.pattern, *map(_pattern, sorted(_LITERALS, key=len, reverse=True))]),
    re.IGNORECASE | re.DOTALL,
)
"""Any mark within a text. Its first group is the name of a harmony channel."""
FIRSTS = frozenset(literal[0] for literal in _LITERALS)
"""The characters with which marks begin."""
LONGEST = 110
"""Characters of the longest mark: a channel with a recipient, or a tag with attributes."""
_BEGINNINGS_OF_MARKS = frozenset(
    literal[:length]
    for literal in (*_LITERALS, "<|channel|>", BARE_FINAL)
    for length in range(1, len(literal) + 1)
)
_OPEN_ENDED = ("<|channel|>", _DETAILS)
"""Marks that go on with what their model chose."""


def name_of(mark: str) -> str:
    """The mark as `PAIRS` and the other tables spell it."""
    name = mark.lower()
    return _DETAILS if name.startswith(_DETAILS) else name


def length_of_begun_mark(text: str, *, at_start: bool) -> int:
    """How many characters at the end of the text may be the beginning of a mark."""
    tail = text[-LONGEST:].lower()
    for at, character in enumerate(tail):
        end = tail[at:]
        if character in FIRSTS and (end in _BEGINNINGS_OF_MARKS or end.startswith(_OPEN_ENDED)):
            return len(end)
    return len(text) if at_start and _may_begin(text) else 0


def _may_begin(text: str) -> bool:
    """Whether what an answer begins with may become the beginning of reasoning."""
    if not text.strip():
        return False
    begun = text.lstrip().lower()
    is_channel = any(name.startswith(text) for name in BARE_CHANNELS)
    return is_channel or any(beginning.startswith(begun) for beginning in BEGINNINGS)


def beginning_of(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The words with which an answer begins its reasoning, and those that end it; None: it does not."""
    if (bare := BARE_CHANNEL.match(text)) is not None:
        return bare[0], (BARE_FINAL,)
    begun = text.lstrip()
    for words, closes in BEGINNINGS.items():
        if begun.lower().startswith(words):
            return text[: len(text) - len(begun) + len(words)], closes
    return None
