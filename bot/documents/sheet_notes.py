"""Comments and text boxes on the cells of an xlsx workbook (ECMA-376, parts 18.7 and 20.5)."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator

from bot.documents.drawings import lines
from bot.documents.safe_xml import Element, side_part

_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
MAX_NOTES = 2000
"""Per sheet."""


def sheet_notes(archive: zipfile.ZipFile) -> dict[str, str]:
    """The texts on each sheet's cells, by the sheet's name."""
    workbook = _relations(archive, "xl/workbook.xml")
    found = {}
    for sheet in side_part(archive, "xl/workbook.xml").iterfind("{*}sheets/{*}sheet"):
        part = workbook.get(sheet.get(_ID, ""), ("", ""))[1]
        found[sheet.get("name", "")] = "\n\n".join(filter(None, _notes(archive, part)))
    return found


def _notes(archive: zipfile.ZipFile, sheet: str) -> Iterator[str]:
    for kind, part in _relations(archive, sheet).values():
        if kind == "comments":
            yield "\n".join(_comments(side_part(archive, part)))
        elif kind == "drawing":
            yield "\n".join(lines(side_part(archive, part)))


def _comments(root: Element) -> Iterator[str]:
    for comment in [*root.iter("{*}comment")][:MAX_NOTES]:
        text = " ".join("".join(each.text or "" for each in comment.iter("{*}t")).split())
        if text:
            yield f"Comment on {comment.get('ref', '')}: {text}"


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """The type and name of each part that this one refers to, by relation id."""
    folder, name = posixpath.split(part)
    return {
        each.get("Id", ""): (
            each.get("Type", "").rpartition("/")[2],
            posixpath.normpath(posixpath.join(folder, each.get("Target", ""))).lstrip("/"),
        )
        for each in side_part(archive, f"{folder}/_rels/{name}.rels").iterfind("{*}Relationship")
        if each.get("TargetMode") != "External"
    }
