"""PDF to text, page by page, including filled-in fields and comments."""

from __future__ import annotations

from collections.abc import Iterator

import pypdfium2
from pypdfium2 import raw

from bot.documents.pdf_notes import page_notes
from bot.documents.problems import DocumentError, DocumentProblem

MAX_PAGES = 1000
_UNREAD = "(The pages themselves hold no text that could be read: only this was written upon them.)"


def read_pdf(data: bytes) -> Iterator[str]:
    """Each page with its number. Raises DocumentError; SCAN, with the notes, if no page has text itself."""
    document = _opened(data)
    found = False
    held: list[str] = []
    for index in range(min(len(document), MAX_PAGES)):
        text, notes = _page(document, index)
        found = found or bool(text)
        if text or notes:
            held.append("\n\n".join(filter(None, [f"### Page {index + 1}", text, notes])))
        if found:
            yield from held
            held.clear()
    if not found:
        raise DocumentError(DocumentProblem.SCAN, "\n\n".join([_UNREAD, *held]) if held else "")
    if len(document) > MAX_PAGES:
        yield f"(The document has {len(document):,} pages, of which the first {MAX_PAGES:,} were read.)"


def _opened(data: bytes) -> pypdfium2.PdfDocument:
    try:
        document = pypdfium2.PdfDocument(data)
        document.init_forms()
    except pypdfium2.PdfiumError as error:
        locked = raw.FPDF_GetLastError() in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
        problem = DocumentProblem.LOCKED if locked else DocumentProblem.BROKEN
        raise DocumentError(problem) from error
    return document


def _page(document: pypdfium2.PdfDocument, index: int) -> tuple[str, str]:
    """Its text and its notes, both empty for a damaged page: the other pages may be intact."""
    try:
        page = document[index]
        text = str(page.get_textpage().get_text_bounded())
        notes = "\n".join(page_notes(document, page))
    except pypdfium2.PdfiumError:
        return "", ""
    # U+FFFE marks a hyphen at the end of a line.
    return text.replace("\r\n", "\n").replace("\ufffe", "").strip(), notes
