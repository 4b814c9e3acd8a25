"""Identifies a document's format by its content, and reads its text piece by piece. Each format's library is imported
late, because a worker needs just one of them.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

from bot.documents.archive import check_members, open_archive, with_slashes
from bot.documents.kinds import Container
from bot.documents.problems import DocumentError, DocumentProblem

# A workbook whose first record (BOF) is followed by a description of its encryption (FilePass).
_LOCKED_XLS = re.compile(rb"\x09\x08\x10\x00.{16}\x2f\x00", re.DOTALL)
# The stream's name in UTF-16, which some programs write in capitals.
_WORKBOOK = re.compile(rb"(?i:(?:W\0O\0R\0K\0)?B\0O\0O\0K\0)\0")
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_MANIFEST = "META-INF/manifest.xml"
_MANIFEST_TYPE = re.compile(rb"application/vnd\.oasis\.opendocument\.[a-z-]+")


def read_document(container: Container, data: bytes) -> Iterator[str]:
    """The document's text in pieces. Raises DocumentError, or whatever a library raises for a broken document."""
    match container:
        case Container.PDF:
            from bot.documents.pdf import read_pdf

            return read_pdf(data)
        case Container.ZIP:
            return _read_archive(data)
        case Container.OLE:
            return _read_ole(data)
        case Container.RTF:
            from bot.documents.rtf import read_rtf

            return read_rtf(data)
        case Container.HTML:
            from bot.documents.markdown import html_to_markdown

            return iter([html_to_markdown(data)])
        case Container.EMAIL:
            from bot.documents.mail import read_email

            return read_email(data)


def _read_archive(data: bytes) -> Iterator[str]:
    archive = open_archive(data)
    check_members(archive)
    if any("\\" in name for name in archive.namelist()):
        data = with_slashes(archive)
        archive = open_archive(data)
    stated = _stated_type(archive)
    if stated == "application/epub+zip":
        from bot.documents.epub import read_epub

        return read_epub(archive)
    if stated.startswith(_OPEN_DOCUMENT):
        return _read_open_document(archive, data, stated.removeprefix(_OPEN_DOCUMENT))
    return _read_office(archive, data)


def _read_open_document(archive: zipfile.ZipFile, data: bytes, kind: str) -> Iterator[str]:
    if _MANIFEST in archive.NameToInfo and b"encryption-data" in archive.read(_MANIFEST):
        raise DocumentError(DocumentProblem.LOCKED)
    if kind.startswith("text"):
        from bot.documents.open_document import read_odt

        return read_odt(archive)
    if kind.startswith("spreadsheet"):
        from bot.documents.sheets import read_sheets

        return read_sheets(data)
    raise DocumentError(DocumentProblem.UNKNOWN)


def _read_office(archive: zipfile.ZipFile, data: bytes) -> Iterator[str]:
    folders = {name.partition("/")[0] for name in archive.namelist()}
    if "word" in folders:
        from bot.documents.word import read_docx

        return read_docx(archive)
    if "xl" in folders:
        from bot.documents.sheet_notes import sheet_notes
        from bot.documents.sheets import read_sheets

        return read_sheets(data, sheet_notes(archive))
    if "ppt" in folders:
        from bot.documents.slides import read_slides

        return read_slides(archive, data)
    raise DocumentError(DocumentProblem.UNKNOWN)


def _read_ole(data: bytes) -> Iterator[str]:
    """Streams in the file have names in UTF-16."""
    if "EncryptedPackage".encode("utf-16-le") in data or _LOCKED_XLS.search(data):
        raise DocumentError(DocumentProblem.LOCKED)
    if _WORKBOOK.search(data):
        from bot.documents.sheets import read_sheets

        return read_sheets(data)
    raise DocumentError(DocumentProblem.OLD_FORMAT)


def _stated_type(archive: zipfile.ZipFile) -> str:
    """The content of the member `mimetype`, which epub and OpenDocument have; if it is missing, the type in
    OpenDocument's manifest.
    """
    try:
        if "mimetype" in archive.NameToInfo:
            with archive.open("mimetype") as file:
                return file.read(100).decode("ascii", "replace").strip()
        if _MANIFEST in archive.NameToInfo and "content.xml" in archive.NameToInfo:
            found = _MANIFEST_TYPE.search(archive.read(_MANIFEST))
            return found[0].decode() if found else ""
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise DocumentError(DocumentProblem.BROKEN) from error
    return ""
