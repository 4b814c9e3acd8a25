"""The marks that models of all families put around their reasoning, and those that frame their answers. Pure.

They come from the models' own chat templates, from vLLM's and llama.cpp's parsers, and from widely used prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_TAGS = (
    "think", "thinking", "thought", "thoughts", "reason", "reasoning", "reflection", "rethink", "deepthink", "cot",
    "chain_of_thought", "scratchpad", "scratch_pad", "inner_monologue", "inner_thought", "inner_thoughts",
    "internal_thought", "internal_thoughts", "thought_process", "thinking_process", "reasoning_process",
    "reasoning_content", "think_fast", "think_faster", "think:opensource", "antthinking", "seed:think", "mm:think",
    "ds_think", "longcat_think", "minimax:think", "reasoning_scratchpad", "internal_monologue", "internal_reasoning",
    "monologue", "reflect", "self_reflection", "antml:thinking",
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
_BRACKETED = ("think", "thinking", "thoughts", "reasoning")  # the first: Magistral


def _pairs() -> Iterator[tuple[str, str]]:
    yield from ((f"<{tag}>", f"</{tag}>") for tag in _TAGS)
    yield from ((f"[{name}]", f"[/{name}]") for name in _BRACKETED)
    for name in _TOKENS:
        for shapes in _TOKEN_SHAPES:
            opening, closing = (shape.format(name) for shape in shapes)
            yield opening, closing
            yield opening.translate(_DEEPSEEK), closing.translate(_DEEPSEEK)
    yield "◁think▷", "◁/think▷"  # Kimi
    yield "[begin_thinking]", "[end_thinking]"
    yield "<start_of_thought>", "<end_of_thought>"
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
"""Closing marks that, alone, say nothing about the text before them."""
CLOSING = frozenset(
    {closing for closings in PAIRS.values() for closing in closings} - _FRAMED_BY_OTHERS
    | {"[begin final response]"}  # Apriel
)
SILENT = frozenset(
    {"<|start_response|>", "<|end_response|>", "<|begin_of_solution|>", "<|end_of_solution|>"}
    | {"<|start|>assistant", "<|begin|>assistant", "<|end|>", "<|return|>", "<|call|>", "<|message|>", "<|content|>"}
    | {"<|im_start|>assistant", "<|im_start|>answer", "<|assistant|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>"}
    | {"<|start_header_id|>assistant<|end_header_id|>", "[end final response]", "<|start_text|>", "<|end_text|>"}
    | {"<|begin_of_box|>", "<|end_of_box|>"}  # GLM
    | {"<|eom|>", "<|eom_id|>", "<|end_of_text|>", "<end_of_turn>", "<start_of_turn>model", "<｜end▁of▁sentence｜>"}
)  # fmt: skip
"""Template marks that frame an answer and do not belong to it."""

CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w*)(?:(?!<\|message\|>).){0,60}<\|message\|>", re.IGNORECASE | re.DOTALL
)
"""Harmony (gpt-oss): all channels but `final` are reasoning."""
FINAL = "<|channel|>final<|message|>"
ANY_CLOSING = CLOSING | {FINAL}

_ANSWER_TAGS = ("answer", "response", "output", "solution", "final_answer", "final")
ANSWER_TAGS = frozenset(mark for tag in _ANSWER_TAGS for mark in (f"<{tag}>", f"</{tag}>"))
"""Around the answer if reasoning comes before it (Hunyuan, Granite, ERNIE); otherwise ordinary words."""

BEGINNINGS: dict[str, tuple[str, ...]] = {
    "here is my thought process:": ("here is my response:", "here's my response:"),  # Granite
    "here's my thought process:": ("here is my response:", "here's my response:"),
    "here are my reasoning steps:": ("[begin final response]",),  # Apriel
    "thinking...\n": ("...done thinking.",),  # Ollama's command line
}
"""Words that begin reasoning at the start of an answer, and those that end it. Without the latter it was not
reasoning.
"""
BARE_FINAL = "assistantfinal"
"""What remains of Harmony's marks if a server removes special tokens."""
BARE_CHANNELS = ("analysis", "commentary")
BARE_CHANNEL = re.compile(rf"({'|'.join(BARE_CHANNELS)})(?=[A-Z\"'(¿¡“])")


_LESS = ("<", "&lt;", "\\<", "＜", "\\u003c")
_MORE = (">", "&gt;", "\\>", "＞", "\\u003e")
"""How servers write the brackets of tags: literally, for web pages, for Markdown, full-width, for JSON."""


def _tag(slash: str, names: str) -> str:
    """The pattern of a tag: with optional spaces and attributes, its brackets in any form."""
    less, more = ("(?:" + "|".join(map(re.escape, spellings)) + ")" for spellings in (_LESS, _MORE))
    attributes = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"<>]{0,40}"|'[^'<>]{0,40}'|[\w-]{1,40})){0,3}"""
    return rf"{less}\s?{slash}\s?(?:{names})(?:{attributes}\s*|\s*/){more}"


_NAMES = "|".join(map(re.escape, sorted(_TAGS, key=len, reverse=True)))
_TAG = re.compile(_tag("(/?)", f"({_NAMES})"), re.IGNORECASE)
_SELF_CLOSED = re.compile(rf"/(?:{'|'.join(map(re.escape, _MORE))})$", re.IGNORECASE)


def _pattern(mark: str) -> str:
    if mark == _DETAILS:
        return re.escape(mark) + "[^<>]{0,60}>"
    # In Markdown a name in brackets may belong to a link.
    return re.escape(mark) + (r"(?=[^(\[:])" if mark[0] == "[" and mark in PAIRS else "")


_TAG_MARKS = frozenset(f"<{slash}{tag}>" for tag in _TAGS for slash in ("", "/"))
_LITERALS = frozenset({*PAIRS, *CLOSING, *SILENT, *ANSWER_TAGS})
_OTHERS = sorted(_LITERALS - _TAG_MARKS, key=len, reverse=True)
MARK = re.compile(
    "|".join([CHANNEL.pattern, _tag("/?", _NAMES), *map(_pattern, _OTHERS)]),
    re.IGNORECASE | re.DOTALL,
)
"""Any mark within a text. Its first group is the name of a Harmony channel."""
FIRSTS = frozenset(literal[0] for literal in (*_LITERALS, *_LESS))
"""The characters with which marks begin."""
LONGEST = 130
"""Characters of the longest mark: a channel with a recipient, or a tag with attributes."""
_BEGINNINGS_OF_MARKS = frozenset(
    literal[:length]
    for literal in (*_LITERALS, *_LESS, "<|channel|>", BARE_FINAL)
    for length in range(1, len(literal) + 1)
)
_OPEN_ENDED = ("<|channel|>", _DETAILS)
"""Marks that continue with text chosen by their model."""
_BEGUN_REST = r"\s+[\w:-]*|\s+[\w:-]+\s*=[^<>]*|\s*/|&g?t?|\\(?:u0?0?3?e?)?"
_BEGUN_TAG = re.compile(
    rf"(?:{'|'.join(map(re.escape, _LESS))})\s?/?\s?([a-z_:]*)(?P<rest>{_BEGUN_REST})?"
)


def name_of(mark: str) -> str:
    """The mark as spelled in `PAIRS` and the other tables; a self-closing tag has no name."""
    if (tag := _TAG.fullmatch(mark)) is not None:
        return "" if _SELF_CLOSED.search(mark) else f"<{tag[1]}{tag[2].lower()}>"
    name = mark.lower()
    return _DETAILS if name.startswith(_DETAILS) else name


def is_escaped(mark: str) -> bool:
    """Whether a tag is spelled in a form that texts about tags also use."""
    return mark.startswith(_LESS[1:])


@lru_cache
def closing_pattern(marks: frozenset[str]) -> re.Pattern[str]:
    """Matches any of these closing marks, however a tag is spelled, or a similar tag that opens.

    Its groups are named `opens` (empty) and `closes` (the slash).
    """
    tags = "|".join(re.escape(mark[2:-1]) for mark in marks & _TAG_MARKS)
    others = [re.escape(mark) for mark in marks - _TAG_MARKS]
    spelled = [_tag("(?:(?P<closes>/)|(?P<opens>))", tags)] if tags else []
    return re.compile("|".join([*spelled, *others]), re.IGNORECASE)


def length_of_begun_mark(text: str, *, at_start: bool) -> int:
    """How many characters at the end of the text may be the beginning of a mark."""
    tail = text[-LONGEST:].lower()
    for at, character in enumerate(tail):
        end = tail[at:]
        if character in FIRSTS and _may_become_mark(end):
            return len(end)
    return len(text) if at_start and _may_begin(text) else 0


def _may_become_mark(end: str) -> bool:
    if end in _BEGINNINGS_OF_MARKS or end.startswith(_OPEN_ENDED):
        return True
    begun = _BEGUN_TAG.fullmatch(end)
    if begun is None:
        return False
    name = begun[1]
    return name in _TAGS if begun["rest"] else any(tag.startswith(name) for tag in _TAGS)


def _may_begin(text: str) -> bool:
    """Whether the beginning of an answer may become the beginning of reasoning."""
    if not text.strip():
        return False
    begun = text.lstrip().lower()
    is_channel = any(name.startswith(text) for name in BARE_CHANNELS)
    return is_channel or any(beginning.startswith(begun) for beginning in BEGINNINGS)


def beginning_of(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The words with which an answer begins its reasoning, and those that end it; None if it does not."""
    if (bare := BARE_CHANNEL.match(text)) is not None:
        return bare[0], (BARE_FINAL,)
    begun = text.lstrip()
    for words, closes in BEGINNINGS.items():
        if begun.lower().startswith(words):
            return text[: len(text) - len(begun) + len(words)], closes
    return None
