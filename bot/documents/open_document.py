"""odt to Markdown. Its `content.xml` is close to HTML: headings, paragraphs, lists, tables, spans."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.safe_xml import Element, parse_xml, side_part
from bot.documents.tables import MAX_COLUMNS, table

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}href"
MAX_DEPTH = 200
"""Levels of nested elements."""
MAX_REPEATS = 100
"""Repetitions of a blank, a cell or a table row that a file may request in an attribute."""
_SKIPPED = frozenset({_TEXT + "tracked-changes", _TEXT + "sequence-decls", _TEXT + "ruby-text"})
_CELLS = (_TABLE + "table-cell", _TABLE + "covered-table-cell")


def read_odt(archive: zipfile.ZipFile) -> Iterator[str]:
    """The headers, the text with its comments, and the footers. Raises DocumentError."""
    yield from _edges(archive, "header", "Header")
    yield from _body(archive)
    yield from _edges(archive, "footer", "Footer")


def _edges(archive: zipfile.ZipFile, part: str, label: str) -> Iterator[str]:
    """Each text above or below pages, once."""
    pages = side_part(archive, "styles.xml").iter(_STYLE + "master-page")
    found = (
        " | ".join(filter(None, map(_inline, edge.iter(_TEXT + "p", _TEXT + "h"))))
        for page in pages
        for edge in page.iter(_STYLE + part, f"{_STYLE}{part}-first", f"{_STYLE}{part}-left")
    )
    for text in dict.fromkeys(found):
        if text:
            yield f"{label}: {text}"


def _body(archive: zipfile.ZipFile) -> Iterator[str]:
    try:
        root = parse_xml(archive.read("content.xml"))
    except KeyError as error:
        raise DocumentError(DocumentProblem.BROKEN) from error
    body = root.find(f"{_OFFICE}body/{_OFFICE}text")
    if body is None:
        raise DocumentError(DocumentProblem.BROKEN)
    yield from _blocks(body, 0)


def _blocks(parent: Element, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        return
    for element in parent:
        if element.tag in _SKIPPED:
            continue
        if element.tag in (_TEXT + "h", _TEXT + "p"):
            yield _paragraph(element)
        elif element.tag == _TEXT + "list":
            yield "\n".join(_items(element, 0))
        elif element.tag == _TABLE + "table":
            yield _table(element)
        else:
            yield from _blocks(element, depth + 1)


def _paragraph(element: Element) -> str:
    text = _inline(element)
    return f"{'#' * _level(element)} {text}" if element.tag == _TEXT + "h" and text else text


def _level(heading: Element) -> int:
    level = heading.get(_TEXT + "outline-level", "1")
    return min(int(level), 6) if level.isdigit() and level != "0" else 1


def _items(parent: Element, level: int) -> Iterator[str]:
    if level > MAX_DEPTH:
        return
    for item in parent:
        for element in item:
            if element.tag == _TEXT + "list":
                yield from _items(element, level + 1)
            elif element.tag == _TEXT + "h":  # a numbered chapter
                yield _paragraph(element)
            elif text := _inline(element):
                yield f"{'  ' * level}- {text}"


def _table(element: Element) -> str:
    return table(_cells(row) for row in element.iter(_TABLE + "table-row"))


def _cells(row: Element) -> list[str]:
    cells: list[str] = []
    for cell in row:
        if cell.tag in _CELLS and len(cells) < MAX_COLUMNS:
            cells += [_cell(cell)] * _count(cell, _TABLE + "number-columns-repeated")
    return cells


def _count(element: Element, name: str) -> int:
    count = element.get(name, "1")
    return min(int(count), MAX_REPEATS) if count.isdecimal() else 1


def _cell(cell: Element) -> str:
    return " ".join(_inline(each) for each in cell.iter(_TEXT + "p", _TEXT + "h"))


def _box(box: Element) -> str:
    return "\n".join(_inline(each) for each in box.iter(_TEXT + "p", _TEXT + "h"))


def _inline(element: Element) -> str:
    return "".join(_pieces(element, 0)).strip()


def _pieces(element: Element, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        return
    yield _collapsed(element.text)
    for child in element:
        yield from _piece(child, depth)
        yield _collapsed(child.tail)


def _collapsed(text: str | None) -> str:
    """Line breaks and blanks in the XML count as one blank; elements represent intended ones."""
    return re.sub(r"\s+", " ", text or "")


def _piece(child: Element, depth: int) -> Iterator[str]:
    if child.tag in _SKIPPED:
        return
    if child.tag == _TEXT + "s":
        yield " " * _count(child, _TEXT + "c")
    elif child.tag == _TEXT + "tab":
        yield "\t"
    elif child.tag == _TEXT + "line-break":
        yield "\n"
    elif child.tag == _TEXT + "note":
        yield f" ({''.join(_pieces(child, depth + 1)).strip()})"
    elif child.tag == _OFFICE + "annotation":
        yield f" (Comment: {' '.join(map(_inline, child.iter(_TEXT + 'p')))})"
    elif child.tag == _DRAW + "text-box":
        yield f"\n{_box(child)}\n"
    elif child.tag == _TEXT + "a" and (address := child.get(_LINK, "")).startswith(
        ("http:", "https:", "mailto:")
    ):
        yield f"[{''.join(_pieces(child, depth + 1))}]({address})"
    else:
        yield from _pieces(child, depth + 1)
