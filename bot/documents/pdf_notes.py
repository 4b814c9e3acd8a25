"""Annotations on a page of a PDF: filled form fields and comments (ISO 32000-1, 12.5 and 12.7)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator

import pypdfium2
from pypdfium2 import raw

MAX_NOTES = 1000
"""Per page."""
_MAX_BYTES = 40_000
"""Per text, in UTF-16."""
_WITHOUT_TEXT = frozenset({raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP, raw.FPDF_ANNOT_WIDGET})
_TICKED = frozenset({raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON})
_WRITTEN = frozenset(
    {raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}
)


def page_notes(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage) -> Iterator[str]:
    """A line for each filled field and each comment. The document's form must be open."""
    for index in range(min(raw.FPDFPage_GetAnnotCount(page.raw), MAX_NOTES)):
        note = raw.FPDFPage_GetAnnot(page.raw, index)
        if not note:
            continue
        try:
            yield from _line(document, note)
        finally:
            raw.FPDFPage_CloseAnnot(note)


def _line(document: pypdfium2.PdfDocument, note: object) -> Iterator[str]:
    kind = raw.FPDFAnnot_GetSubtype(note)
    if kind == raw.FPDF_ANNOT_WIDGET and document.formenv is not None:
        yield from _field(document.formenv.raw, note)
    elif kind not in _WITHOUT_TEXT:
        text = _text(lambda *room: raw.FPDFAnnot_GetStringValue(note, b"Contents", *room))
        if text:
            yield f"Comment: {text}"


def _field(form: object, note: object) -> Iterator[str]:
    kind = raw.FPDFAnnot_GetFormFieldType(form, note)
    shown = ""
    if kind in _TICKED:
        shown = "☑" if raw.FPDFAnnot_IsChecked(form, note) else ""
    elif kind in _WRITTEN:
        shown = _text(lambda *room: raw.FPDFAnnot_GetFormFieldValue(form, note, *room))
    if shown:
        name = _text(lambda *room: raw.FPDFAnnot_GetFormFieldName(form, note, *room))
        yield f"Field {name}: {shown}"


def _text(read: Callable[..., int]) -> str:
    """`read` takes a buffer and its size, and returns the number of bytes, like functions of PDFium."""
    size = min(read(None, 0), _MAX_BYTES)
    room = (ctypes.c_ushort * (size // 2 + 1))()
    read(room, size)
    return " ".join(bytes(room)[:size].decode("utf-16-le", "replace").replace("\0", "").split())
