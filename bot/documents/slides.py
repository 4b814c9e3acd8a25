"""pptx to Markdown: each slide with its title, texts, tables, charts, diagrams, notes and comments."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from pptx import Presentation
from pptx.exc import PythonPptxError
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape

from bot.documents.drawings import chart_text, diagram_text, lines
from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.safe_xml import Element, empty, parse_xml, side_part
from bot.documents.tables import table

MAX_SLIDES = 1000
MAX_DEPTH = 20
"""Levels of nested groups."""
_SLIDE = re.compile(r"ppt/slides/slide(\d{1,9})\.xml")
_UNREADABLE = (PythonPptxError, KeyError, ValueError, AttributeError, SyntaxError)
"""What python-pptx and lxml raise for broken documents."""
_DIAGRAM = ".//*[local-name() = 'relIds']/@r:dm"


def read_slides(archive: zipfile.ZipFile, data: bytes) -> Iterator[str]:
    """`data`: the archive's bytes. Raises DocumentError; SCAN if no slide has text."""
    found = False
    for number, text in enumerate(_slides(archive, data), 1):
        found = found or bool(text)
        if text:
            yield f"### Slide {number}\n\n{text}"
        if number == MAX_SLIDES:
            break
    if not found:
        raise DocumentError(DocumentProblem.SCAN)


def _slides(archive: zipfile.ZipFile, data: bytes) -> Iterator[str]:
    try:
        slides = Presentation(io.BytesIO(data)).slides
    except _UNREADABLE:
        yield from _plain(archive)  # a part other than the slides is broken, or there are no slides
        return
    for slide in slides:
        yield "\n\n".join(filter(None, _slide(slide)))


def _plain(archive: zipfile.ZipFile) -> Iterator[str]:
    """Only the texts of the slides, in the order of their numbers."""
    names = {
        int(found[1]): found[0] for found in map(_SLIDE.fullmatch, archive.namelist()) if found
    }
    texts = ["\n".join(lines(side_part(archive, name))) for _, name in sorted(names.items())]
    if not any(texts):
        raise DocumentError(DocumentProblem.BROKEN)
    yield from texts


def _slide(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None and title.has_text_frame:
        yield (
            f"**{' '.join(title.text_frame.text.split())}**"
            if title.text_frame.text.strip()
            else ""
        )
    yield from _shapes(
        (each for each in slide.shapes if title is None or each.shape_id != title.shape_id), 0
    )
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
        yield f"Notes: {_lines(frame.text)}" if frame.text.strip() else ""
    yield from _comments(slide)


def _shapes(shapes: Iterable[Any], depth: int) -> Iterator[str]:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            if depth < MAX_DEPTH:
                yield from _shapes(shape.shapes, depth + 1)
        elif getattr(shape, "has_table", False):
            yield table([cell.text for cell in row.cells] for row in shape.table.rows)
        elif getattr(shape, "has_chart", False):
            yield chart_text(_related(shape.part, shape.element.chart_rId))
        elif isinstance(shape, GraphicFrame) and shape.element.xpath(_DIAGRAM):
            yield diagram_text(_related(shape.part, shape.element.xpath(_DIAGRAM)[0]))
        elif shape.has_text_frame:
            yield "\n".join(
                filter(None, (_paragraph(each) for each in shape.text_frame.paragraphs))
            )


def _paragraph(paragraph: Any) -> str:
    text = _lines(paragraph.text)
    return f"{'  ' * paragraph.level}- {text}" if text and paragraph.level else text


def _related(part: Any, relation: str | None) -> Element:
    """The root of the part that another one refers to; an empty one if it is missing or broken."""
    try:
        return parse_xml(part.rels[relation].target_part.blob)
    except (KeyError, ValueError, AttributeError, DocumentError):
        return empty()


def _comments(slide: Any) -> Iterator[str]:
    for name, relation in slide.part.rels.items():
        if relation.reltype.endswith("/comments") and not relation.is_external:
            for comment in _related(slide.part, name).iter("{*}cm"):
                text = comment.findtext("{*}text") or "\n".join(lines(comment))
                yield f"Comment: {text}" if text.strip() else ""


def _lines(text: str) -> str:
    """Splits at vertical tabs, which are PowerPoint's line breaks within a paragraph."""
    return text.replace("\v", "\n").strip()
