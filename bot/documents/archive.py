"""Untrusted zip archives. Their contents are measured while they are unpacked, because the sizes that they state may be
forged.
"""

from __future__ import annotations

import io
import re
import zipfile

from bot.documents.problems import DocumentError, DocumentProblem

MAX_MEMBERS = 20_000
MAX_UNPACKED = 200_000_000
"""Bytes of all members together."""
MAX_XML = 60_000_000
"""Bytes of one XML member, which takes many times as much memory once it is parsed."""
_PIECE = 64 * 1024
_XML = re.compile(r"\.(xml|rels|xhtml|html|htm|opf|ncx)$", re.IGNORECASE)
_PARSED = re.compile(r"\.(xml|rels|opf)$", re.IGNORECASE)
"""What an XML parser reads. The chapters of a book are read as web pages, in which entity declarations have no
effect.
"""
# An entity in UTF-8 or UTF-16: it may refer to files and to other entities. (A document type alone does no harm, and
# LibreOffice writes one into the macros of its documents.)
_ENTITY = re.compile(rb"<\0?!\0?E\0?N\0?T\0?I\0?T\0?Y")


def open_archive(data: bytes) -> zipfile.ZipFile:
    """The archive. Raises DocumentError if it is broken or has too many members."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DocumentError(DocumentProblem.BROKEN) from error
    if len(archive.filelist) > MAX_MEMBERS:
        raise DocumentError(DocumentProblem.TOO_COMPLEX)
    return archive


def check_members(archive: zipfile.ZipFile) -> None:
    """Unpacks every member once, without keeping it.

    Raises DocumentError: LOCKED for encrypted members, BROKEN for damaged ones and for XML with entities of its own,
    TOO_COMPLEX if they unpack to too much.
    """
    left = MAX_UNPACKED
    for member in archive.filelist:
        left = _check(archive, member, left)


def with_slashes(archive: zipfile.ZipFile) -> bytes:
    """The archive with slashes in the names of its members, where some Windows programs write backslashes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as file:
        for member in archive.filelist:
            file.writestr(member.filename.replace("\\", "/"), archive.read(member))
    return written.getvalue()


def _check(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int) -> int:
    """Returns how many bytes the members after this one may unpack to."""
    if member.flag_bits & 0x1:
        raise DocumentError(DocumentProblem.LOCKED)
    room = min(left, MAX_XML) if _XML.search(member.filename) else left
    parsed = bool(_PARSED.search(member.filename))
    seam = b""
    try:
        with archive.open(member) as file:
            while piece := file.read(_PIECE):
                room -= len(piece)
                left -= len(piece)
                if room < 0:
                    raise DocumentError(DocumentProblem.TOO_COMPLEX)
                if parsed and _ENTITY.search(seam + piece):
                    raise DocumentError(DocumentProblem.BROKEN)
                seam = piece[-32:]
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        RuntimeError,
        NotImplementedError,
        ValueError,
    ) as error:
        raise DocumentError(DocumentProblem.BROKEN) from error
    return left
