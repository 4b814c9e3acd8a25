"""pptx to Markdown: each slide with its title, texts, tables, charts, diagrams, notes and comments."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from pptx import Presentation
from pptx.exc import PythonPptxError
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape

from bot.documents.drawings import chart_text, diagram_text, lines
from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.safe_xml import parse_xml
from bot.documents.tables import table

MAX_SLIDES = 1000
MAX_DEPTH = 20
"""Groups within groups."""
_DIAGRAM = ".//*[local-name() = 'relIds']/@r:dm"


def read_slides(data: bytes) -> Iterator[str]:
    """Raises DocumentError; SCAN when no slide has text."""
    try:
        slides = Presentation(io.BytesIO(data)).slides
    except (PythonPptxError, KeyError, ValueError, AttributeError) as error:
        raise DocumentError(DocumentProblem.BROKEN) from error
    found = False
    for number, slide in enumerate(slides, 1):
        text = "\n\n".join(filter(None, _slide(slide)))
        found = found or bool(text)
        if text:
            yield f"### Slide {number}\n\n{text}"
        if number == MAX_SLIDES:
            break
    if not found:
        raise DocumentError(DocumentProblem.SCAN)


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
            yield chart_text(parse_xml(shape.chart_part.blob))
        elif isinstance(shape, GraphicFrame) and shape.element.xpath(_DIAGRAM):
            yield _diagram(shape)
        elif shape.has_text_frame:
            yield "\n".join(
                filter(None, (_paragraph(each) for each in shape.text_frame.paragraphs))
            )


def _paragraph(paragraph: Any) -> str:
    text = _lines(paragraph.text)
    return f"{'  ' * paragraph.level}- {text}" if text and paragraph.level else text


def _diagram(shape: Any) -> str:
    """A SmartArt diagram's texts, which are in a part of their own."""
    part = shape.part.rels[shape.element.xpath(_DIAGRAM)[0]].target_part
    return diagram_text(parse_xml(part.blob))


def _comments(slide: Any) -> Iterator[str]:
    for relation in slide.part.rels.values():
        if relation.reltype.endswith("/comments") and not relation.is_external:
            for comment in parse_xml(relation.target_part.blob).iter("{*}cm"):
                text = comment.findtext("{*}text") or "\n".join(lines(comment))
                yield f"Comment: {text}" if text.strip() else ""


def _lines(text: str) -> str:
    """A line break within a paragraph is a vertical tab in PowerPoint."""
    return text.replace("\v", "\n").strip()
