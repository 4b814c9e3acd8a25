"""Recognises documents: by their description before the download, by their bytes afterwards. Pure."""

from __future__ import annotations

from enum import StrEnum


class Container(StrEnum):
    """How a document is packaged, according to its first bytes and its name."""

    PDF = "pdf"
    ZIP = "zip"
    """docx, xlsx, pptx, odt, ods, epub, or an archive."""
    OLE = "ole"
    """Office's format before 2007, also used by later files that require a password."""
    RTF = "rtf"
    HTML = "html"
    EMAIL = "eml"


_MIME_TYPES = {
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.ms-word.document.macroenabled.12": "docm",
    "application/vnd.ms-excel.sheet.macroenabled.12": "xlsm",
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": "pptm",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.ms-excel": "xls",
    "application/msword": "doc",
    "application/vnd.ms-powerpoint": "ppt",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
    "application/epub+zip": "epub",
    "text/html": "html",
    "application/xhtml+xml": "xhtml",
    "message/rfc822": "eml",
}
_SUFFIXES = frozenset({*_MIME_TYPES.values(), "htm"})
_HTML_SUFFIXES = frozenset({"html", "htm", "xhtml"})
_SPACE_WITHIN = 64
"""Bytes within which an RTF file begins."""
_PDF_HEADER_WITHIN = 1024
"""How many bytes PDF readers tolerate before a PDF's header."""


def is_document(name: str, mime: str) -> bool:
    """Whether the description is that of a document. Browsers and Slack do not know every type, so the name counts
    too.
    """
    return mime.lower() in _MIME_TYPES or _suffix(name) in _SUFFIXES


def container_of(data: bytes, name: str = "", mime: str = "") -> Container | None:
    """How these bytes are packaged; None if they are not a document. HTML and e-mail have no signature, so the name
    decides.
    """
    if b"%PDF-" in data[:_PDF_HEADER_WITHIN]:
        return Container.PDF
    if data.startswith(b"PK\x03\x04"):
        return Container.ZIP
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return Container.OLE
    if data[:_SPACE_WITHIN].lstrip().startswith(b"{\\rtf"):
        return Container.RTF
    kind = _MIME_TYPES.get(mime.lower(), _suffix(name))
    if _suffix(name) in _HTML_SUFFIXES or kind in _HTML_SUFFIXES:
        return Container.HTML
    return Container.EMAIL if kind == "eml" else None


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""
