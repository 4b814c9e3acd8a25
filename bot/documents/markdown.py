"""HTML as Markdown."""

from __future__ import annotations

import re
import textwrap
from html import escape
from html.parser import HTMLParser
from typing import Any

from bs4 import BeautifulSoup
from bs4.dammit import EncodingDetector
from markdownify import ATX, MarkdownConverter

from bot.documents.html_tables import make_tables_plain
from bot.documents.tables import escaped
from bot.text.charsets import decode_stated

_NOT_TEXT = (
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "math",
    "title",  # not the whole head, into which old parsers and pages put some of the text
    "img",
    "iframe",
    "object",
)
MAX_DEPTH = 500
"""Levels of nested tags: beyond this, the parser takes quadratic time."""
MAX_TAGS = 150_000
"""Beyond this, a page takes longer than a document may."""
_TAG = re.compile(r"<[a-zA-Z]")
_BLOCKS = frozenset({"p", "div", "br", "li", "tr", "section", "h1", "h2", "h3", "h4", "h5", "h6"})
_START = re.compile(r"[0-9]{1,9}")
# Tags that begin or end something that is never left open by mistake.
_NESTING = re.compile(
    r"<(/?)(?:div|span|table|section|article|ul|ol|blockquote|font|b|i|em|strong|a)\b",
    re.IGNORECASE,
)
# Comments, scripts and styles, which contain no sections; sections; the mark of an unclosed one. No piece is searched
# twice for the same thing, so the time is linear.
_SECTIONS = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(script|style)(?=[\s>])(?![^<>]*/>).*?(?:</\1|\Z)"
    r"|<!\[CDATA\[((?:[^<\]]++|<(?!!\[CDATA\[)|\](?!\]>))*+)\]\]>"
    r"|(<!\[CDATA\[)",
    re.IGNORECASE | re.DOTALL,
)
# An XML declaration, and a document type with declarations, which an HTML parser would end at the first of them.
_PROLOG = re.compile(r"\A\s*(?:<\?xml[^>]*>)?(?:\s*<!DOCTYPE[^\[>]*\[[^\]]*\]\s*>)?", re.IGNORECASE)


class _Converter(MarkdownConverter):
    """markdownify's converter, with bars in cells escaped, because they would end the cell."""

    def convert_td(self, el: Any, text: str, parent_tags: Any) -> str:
        return str(super().convert_td(el, escaped(_one_line(text)), parent_tags))  # type: ignore[misc]

    def convert_th(self, el: Any, text: str, parent_tags: Any) -> str:
        return str(super().convert_th(el, escaped(_one_line(text)), parent_tags))  # type: ignore[misc]

    def convert_li(self, el: Any, text: str, parent_tags: Any) -> str:
        """Uses the number that the item was given: counting the items before each one would take quadratic time."""
        number = el.attrs.get("value") if el.parent.name == "ol" else None
        if not number or not text.strip():
            return str(super().convert_li(el, text, parent_tags))  # type: ignore[misc]
        bullet = f"{number}. "
        return f"{bullet}{textwrap.indent(text.strip(), ' ' * len(bullet))[len(bullet) :]}\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def html_to_markdown(html: str | bytes, *, titled: bool = True) -> str:
    """Headings, lists, links and tables as Markdown; scripts, styles and pictures are left out.

    `titled`: the page's title is shown above a text that does not begin with it.
    """
    html = html if isinstance(html, str) else decode_stated(html, _stated_encoding(html))
    html = _without_sections(_PROLOG.sub("", html))
    if _depth(html) > MAX_DEPTH or sum(1 for _ in _TAG.finditer(html)) > MAX_TAGS:
        return _tidy(_plain(html))
    try:
        soup = BeautifulSoup(html, "lxml")
        title = soup.title.get_text(" ", strip=True) if titled and soup.title else ""
        for tag in soup(_NOT_TEXT):
            tag.decompose()
        make_tables_plain(soup)
        _number_items(soup)
        converter = _Converter(
            table_infer_header=True,
            heading_style=ATX,
            bullets="-",
            escape_misc=False,
            escape_asterisks=False,
            escape_underscores=False,
        )
        text = _tidy(converter.convert_soup(soup))
    except RecursionError:
        return _tidy(_plain(html))
    return text if not title or text.startswith(f"# {title}") else f"# {title}\n\n{text}"


def _number_items(soup: BeautifulSoup) -> None:
    for each in soup("ol"):
        start = str(each.get("start", "1"))
        first = int(start) if _START.fullmatch(start) else 1
        for number, item in enumerate(each.find_all("li", recursive=False), first):
            item.attrs["value"] = str(number)


def _without_sections(html: str) -> str:
    """Turns the text of CDATA sections, and the mark of an unclosed one, into ordinary text, because HTML parsers drop
    them.
    """
    return _SECTIONS.sub(_as_text, html) if "<![CDATA[" in html else html


def _as_text(found: re.Match[str]) -> str:
    text = found[2] if found[2] is not None else found[3]
    return found[0] if text is None else escape(text)


def _depth(html: str) -> int:
    depth = deepest = 0
    for tag in _NESTING.finditer(html):
        depth += -1 if tag[1] else 1
        deepest = max(deepest, depth)
    return deepest


def _stated_encoding(html: bytes) -> str | None:
    """None for an encoding in which the statement itself could not have been written, such as UTF-16 (the HTML
    standard, 13.2.3).
    """
    stated = EncodingDetector.find_declared_encoding(html, is_html=True)
    try:
        return stated if stated and "<".encode(stated) == b"<" else None
    except (LookupError, ValueError):  # Python knows no encoding by this name
        return stated


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._hidden <= 0:
            self.pieces.append(data)


def _plain(html: str) -> str:
    parser = _Text()
    parser.feed(html)
    return "".join(parser.pieces)
