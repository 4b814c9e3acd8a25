"""Parses untrusted XML: no entities, no document types, no network."""

from __future__ import annotations

import zipfile
from typing import Any

from lxml import etree

from bot.documents.problems import DocumentError, DocumentProblem

Element = Any
"""An `lxml.etree._Element`; lxml has no types."""


def parse_xml(data: bytes) -> Element:
    """The root element. Raises DocumentError."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise DocumentError(DocumentProblem.BROKEN) from error


def side_part(archive: zipfile.ZipFile, name: str) -> Element:
    """The root of a part beside the main text; an empty one if the part is missing or broken, which is acceptable."""
    try:
        return parse_xml(archive.read(name))
    except (KeyError, DocumentError):
        return empty()


def empty() -> Element:
    return etree.Element("none")
