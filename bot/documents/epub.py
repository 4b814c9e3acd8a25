"""epub to Markdown: its chapters in reading order."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from bot.documents.markdown import html_to_markdown
from bot.documents.problems import DocumentError, DocumentProblem
from bot.documents.safe_xml import parse_xml

_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"


def read_epub(archive: zipfile.ZipFile) -> Iterator[str]:
    """Raises DocumentError; LOCKED for copy-protected books."""
    if "META-INF/rights.xml" in archive.namelist():
        raise DocumentError(DocumentProblem.LOCKED)
    try:
        container = parse_xml(archive.read("META-INF/container.xml"))
        path = next(each.get("full-path", "") for each in container.iter(_CONTAINER + "rootfile"))
        package = parse_xml(archive.read(path))
    except (KeyError, StopIteration) as error:
        raise DocumentError(DocumentProblem.BROKEN) from error
    if (title := package.findtext(f".//{_DC}title")) and title.strip():
        yield f"# {title.strip()}"
    hrefs = {item.get("id"): item.get("href", "") for item in package.iter(_OPF + "item")}
    for reference in package.iter(_OPF + "itemref"):
        href = unquote(hrefs.get(reference.get("idref"), ""))
        member = posixpath.normpath(posixpath.join(posixpath.dirname(path), href))
        if href and member in archive.NameToInfo:
            yield html_to_markdown(archive.read(member), titled=False)
