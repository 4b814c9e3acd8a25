"""XML from strangers: no entities, no document types, no network."""

from __future__ import annotations

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
