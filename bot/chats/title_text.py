"""Extracts a title from a model's reply, whatever the model has written around it. Pure."""

from __future__ import annotations

import html
import re
from typing import Any

from bot.text.untrusted_json import parsed

MIN_WORDS = 2
MAX_WORDS = 8
MAX_CHARACTERS = 80
_QUOTES = "\"'“”‘’„‚«»‹›「」『』`*_~| \t"
_FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_JSON = re.compile(r"[{\[].*[}\]]", re.DOTALL)
_TAGS = re.compile(
    r"</?(?:[\w-]*title|h[1-6]|b|i|strong|em|p|answer|response|output|s)\b[^>]*>|<\|\w+\|>",
    re.IGNORECASE,
)
_LINE_MARK = re.compile(
    r"(?:#{1,6}|>+|[-*•–+]|\(?\d{1,2}[.):]|\(?[a-h]\)|option \d+\s*[:.]|\[title\])(?:\s+|$)",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"(?:sure(?: thing)?|certainly|of course|okay|ok|absolutely|great(?: question)?|alright|understood|yes"
    r"|got it|thanks|thank you|no problem|gladly)\s*[,.!:–—-]+(?:\s+|$)",
    re.IGNORECASE,
)
_TITLE_WORD = "(?:titles?|titel|t[ií]tulo|titre|titolo|название|заголовок|标题|標題|タイトル|제목)"
_BEFORE = (
    "(?:(?:the|an?|my|your|one|suggested|possible|proposed|short|concise|brief|generated|chat|conversation|final|good"
    "|new|perfect|better|best|catchy|clear|descriptive|fitting|simple|suitable|thread|discussion|session)\\s+){0,5}"
)
"""Words before the word for "title"."""
_TALK = "(?:conversation|chat|discussion|exchange|thread|unterhaltung|gesprächs?|conversa|conversación|conversazione)"
_INTRODUCTION = re.compile(
    r"(?:(?:here(?:['’]s| is| are| you go)|as requested|hier (?:ist|sind|ein)"
    r"|voici|aqu[ií] (?:est[áa]|tienes|hay)|ecco)\b[^:：]{0,100}"
    r"|assistant|subject|topic|chat|headline"
    rf"|{_BEFORE}[\u3040-\u9fff]{{0,10}}{_TITLE_WORD}(?:\s+(?:suggestion|idea|option)s?)?"
    rf"(?:\s+(?:for|of|der|des|de|da|del|della)\s+(?:(?:this|the|our|your|la)\s+)?{_TALK})?"
    r"(?:\s+(?:is|could be|would be|might be|should be))?\s*(?:\([^()]{0,30}\)\s*)?)"
    r"(?:\s*[:：=]\s*|\s+(?:[-–—]+>?|→|\|)\s+)",
    re.IGNORECASE,
)
_LABELLED = re.compile(rf"\W*{_BEFORE}{_TITLE_WORD}\W{{0,4}}[:：]", re.IGNORECASE)
"""A line that says that it is the title."""
_MORE_INTRODUCTION = re.compile(
    r"(?:i(?:['’]d| would)? (?:suggest|propose|recommend)\b|based on\b|(?:final )?answer\b|output\b|response\b)"
    r"[^:：\"“]{0,100}[:：]\s*",
    re.IGNORECASE,
)
_NAMED = re.compile(rf"\b\w*{_TITLE_WORD}\b[\"'”]?[^\"“\n]{{0,40}}[\"“]([^\"”\n]+)", re.IGNORECASE)
"""A quoted title after the word for "title", also in incomplete JSON."""
_NAMED_SINGLE = re.compile(rf"'\w*{_TITLE_WORD}'\s*:\s*'([^'\n]+)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]*)\}+")
_NAMED_LATER = re.compile(
    rf"[.!]\s[^.!:]{{0,40}}\b{_TITLE_WORD}\b[^.!:]{{0,40}}:\s*(\S.*)", re.IGNORECASE
)
_QUOTED = re.compile(
    r"(?:\bI['’]d [^\"“]{0,40}|\bhow about\s|\bmaybe\s)[\"“]([^\"”]{3,})[\"”](?=\W|$)",
    re.IGNORECASE,
)
"""A quoted title, with words about it around it."""
_QUOTED_FIRST = re.compile(
    rf"[\"“]([^\"”]{{3,}})[\"”](?:[.!:]?\s*$|[.!:]\s|\s+[-–—(].*\b{_TITLE_WORD}\b)", re.IGNORECASE
)
"""A quoted title, followed only by a sentence or words about it."""
_DOUBLE_QUOTES = '"“”„«»「」『』`'
_REFUSAL = re.compile(
    r"(?:i['’]?m |i am )?sorry[,.!]?\s+(?:but\s+)?i(?:\s+(?:am|can|cannot|could|do)\b|['’]m\b)"
    r"|(?:i['’]?m|i am) (?:unable|not able) to\b"
    r"|i (?:can(?:no|['’])t|could not) (?:help|assist|write|create|provide|give|generate|answer|determine|do)\b",
    re.IGNORECASE,
)
_NO_TITLE = re.compile(
    rf"(?:no|new|untitled)\s+(?:title|{_TALK})(?: available| provided| yet)?\W*$", re.IGNORECASE
)
_BRACKETED = re.compile(r"[\[({<]([^\[\](){}<>]*)[\])}>]")
_WORD_COUNT = re.compile(r"\s*(?:[\[(]\d+ words?[\])]|[-–—]\s*\d+ words?)\s*$", re.IGNORECASE)
_CLOSED_HEADING = re.compile(r"(\s*#{1,6}\s.*\S)\s+#+\s*")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff"))
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_CONTROL_SEQUENCE = re.compile(r"<[!@#]([^>|]*)(?:\|([^>]*))?>")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]{2}"
)
"""Two characters of a script without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


def clean_title(reply: str) -> str:
    """The title in a model's reply: two to eight words, without markup, quotation marks, introductions and a full stop.

    Empty for a single word, which is not a title.
    """
    fenced = _FENCED.search(reply)
    text = fenced[1] if fenced and fenced[1].strip() else reply
    text = _title_in_json(text) or html.unescape(_TAGS.sub("", text)).replace('\\"', '"')
    lines = text.translate(_INVISIBLE).splitlines()
    lines.sort(key=lambda line: _LABELLED.match(line) is None)
    words = next(filter(_is_title, map(_clean_line, lines)), "").split()
    kept = " ".join(words[:MAX_WORDS])
    return kept if len(kept) <= MAX_CHARACTERS else kept[: MAX_CHARACTERS - 1].rstrip() + "…"


def _is_title(line: str) -> bool:
    has_words = len(line.split()) >= MIN_WORDS or _UNSPACED.search(line) is not None
    return has_words and not _REFUSAL.match(line) and not _NO_TITLE.match(line)


def _clean_line(line: str) -> str:
    """The title in a line; empty for an introduction."""
    line = _BOXED.sub(r"\1", line.replace("**", "").replace("__", ""))
    line = _CLOSED_HEADING.sub(r"\1", line)
    if named := _named(line.strip()):
        line = named
    elif line.rstrip().endswith((":", "：")):
        return ""
    before = None
    while before != line:
        before = line
        line = line.strip()
        for mark in (_LINE_MARK, _POLITE, _INTRODUCTION, _MORE_INTRODUCTION):
            found = mark.match(line)
            line = line[found.end() :] if found else line
        line = _unquoted(_WORD_COUNT.sub("", line)).rstrip(".。")
        line = bracketed[1] if (bracketed := _BRACKETED.fullmatch(line)) else line
    line = _LINK.sub(r"\1", line)
    return _CONTROL_SEQUENCE.sub(lambda found: found[2] or found[1], line).strip()


def _unquoted(line: str) -> str:
    """The line without the quotation marks around it; marks that contain other quotations belong to it."""
    bare = line.strip(_QUOTES)
    is_framed = set(_DOUBLE_QUOTES).isdisjoint(bare)
    return bare if is_framed else line.strip("".join(set(_QUOTES) - set(_DOUBLE_QUOTES)))


def _named(line: str) -> str:
    """The title named in a line of words about it; empty if there is none."""
    patterns = (_NAMED, _NAMED_SINGLE, _QUOTED, _NAMED_LATER)
    found = (_QUOTED_FIRST.match(line), *(pattern.search(line) for pattern in patterns))
    return next((named[1] for named in found if named and _is_title(named[1])), "")


def _title_in_json(text: str) -> str:
    """The title in a JSON reply; empty if there is none."""
    found = _JSON.search(text)
    try:
        return _first_text(parsed(found[0])) if found else ""
    except ValueError:
        return ""


def _first_text(value: Any) -> str:
    """The text under `title`, else the first text."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        titled = [value[name] for name in value if name.lower() in ("title", "name")]
        value = [*titled, *value.values()]
    if isinstance(value, list):
        return next((text for each in value if (text := _first_text(each))), "")
    return ""
