"""HTML and tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from typing import Any

from bs4 import BeautifulSoup
from markdownify import ATX, MarkdownConverter

_NOT_TEXT = (
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "math",
    "head",
    "img",
    "iframe",
    "object",
)
MAX_COLUMNS = 200
MAX_DEPTH = 500
"""Of tags within tags: beyond, the parser takes a time that grows with the square."""
# Tags that begin or end something which is never left open by mistake.
_NESTING = re.compile(
    r"<(/?)(?:div|span|table|section|article|ul|ol|blockquote|font|b|i|em|strong|a)\b",
    re.IGNORECASE,
)


class _Converter(MarkdownConverter):
    """As markdownify does it, with bars in cells escaped: they would end the cell."""

    def convert_td(self, el: Any, text: str, parent_tags: Any) -> str:
        return str(super().convert_td(el, _escaped(text), parent_tags))  # type: ignore[misc]

    def convert_th(self, el: Any, text: str, parent_tags: Any) -> str:
        return str(super().convert_th(el, _escaped(text), parent_tags))  # type: ignore[misc]


def html_to_markdown(html: str | bytes) -> str:
    """Headings, lists, links and tables as Markdown; scripts, styles and pictures are left out."""
    if _depth(html) > MAX_DEPTH:
        return _tidy(_plain(html))
    try:
        soup = BeautifulSoup(html, "html.parser")
        title = soup.title.get_text(" ", strip=True) if soup.title else ""
        for tag in soup(_NOT_TEXT):
            tag.decompose()
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


def table(rows: Iterable[Sequence[str]]) -> str:
    """The rows as a Markdown table; the first one is its head. Empty rows and columns at the edges are left out."""
    kept = [[_escaped(" ".join(cell.split())) for cell in row[:MAX_COLUMNS]] for row in rows]
    kept = [row for row in kept if any(row)]
    width = max((_used(row) for row in kept), default=0)
    if not width:
        return ""
    lines = [_line([*row[:width], *[""] * (width - len(row))]) for row in kept]
    return "\n".join([lines[0], _line(["---"] * width), *lines[1:]])


def _depth(html: str | bytes) -> int:
    depth = deepest = 0
    for tag in _NESTING.finditer(_decoded(html)):
        depth += -1 if tag[1] else 1
        deepest = max(deepest, depth)
    return deepest


def _decoded(html: str | bytes) -> str:
    return html if isinstance(html, str) else html.decode("utf-8", "replace")


def _used(row: Sequence[str]) -> int:
    """How many columns the row has up to its last cell that is not empty."""
    return max((count for count, cell in enumerate(row, 1) if cell), default=0)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", cell)


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", text)).strip()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._hidden <= 0:
            self.pieces.append(data)


def _plain(html: str | bytes) -> str:
    parser = _Text()
    parser.feed(_decoded(html))
    return "".join(parser.pieces)
