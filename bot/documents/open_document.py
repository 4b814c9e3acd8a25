"""odt to Markdown. Its `content.xml` is close to HTML: headings, paragraphs, lists, tables, spans."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.safe_xml import Element, parse_xml
from bot.documents.tables import table

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}href"
MAX_DEPTH = 200
"""Of elements within elements."""
MAX_REPEATS = 100
"""Of one blank, or one cell or row of a table, that a file may ask for in an attribute."""
_BLOCKS = frozenset(
    {
        _TEXT + "section",
        _TEXT + "list",
        _OFFICE + "text",
        _TEXT + "index-body",
        _TEXT + "table-of-content",
    }
)
_SKIPPED = frozenset({_TEXT + "tracked-changes", _TEXT + "sequence-decls", _OFFICE + "annotation"})


def read_odt(archive: zipfile.ZipFile) -> Iterator[str]:
    """Raises DocumentError."""
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
        if element.tag == _TEXT + "h":
            yield f"{'#' * _level(element)} {_inline(element)}"
        elif element.tag == _TEXT + "p":
            yield _inline(element)
        elif element.tag == _TEXT + "list":
            yield "\n".join(_items(element, 0))
        elif element.tag == _TABLE + "table":
            yield _table(element)
        else:
            yield from _blocks(element, depth + 1)


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
            elif text := _inline(element):
                yield f"{'  ' * level}- {text}"


def _table(element: Element) -> str:
    return table(
        [
            _cell(cell)
            for cell in row
            if cell.tag in (_TABLE + "table-cell", _TABLE + "covered-table-cell")
        ]
        for row in element.iter(_TABLE + "table-row")
    )


def _cell(cell: Element) -> str:
    return " ".join(_inline(each) for each in cell.iter(_TEXT + "p", _TEXT + "h"))


def _inline(element: Element) -> str:
    return "".join(_pieces(element, 0)).strip()


def _pieces(element: Element, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        return
    yield element.text or ""
    for child in element:
        yield from _piece(child, depth)
        yield child.tail or ""


def _piece(child: Element, depth: int) -> Iterator[str]:
    if child.tag in _SKIPPED:
        return
    if child.tag == _TEXT + "s":
        count = child.get(_TEXT + "c", "1")
        yield " " * (min(int(count), MAX_REPEATS) if count.isdigit() else 1)
    elif child.tag == _TEXT + "tab":
        yield "\t"
    elif child.tag == _TEXT + "line-break":
        yield "\n"
    elif child.tag == _TEXT + "note":
        yield f" ({''.join(_pieces(child, depth + 1)).strip()})"
    elif child.tag == _TEXT + "a" and (address := child.get(_LINK, "")).startswith(
        ("http:", "https:", "mailto:")
    ):
        yield f"[{''.join(_pieces(child, depth + 1))}]({address})"
    else:
        yield from _pieces(child, depth + 1)
