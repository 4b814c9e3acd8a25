"""Handles parts of a docx that mammoth ignores: prepared for it, or read here (ECMA-376, part 17)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress

from lxml import etree

from bot.documents.drawings import chart_text, diagram_text
from bot.documents.problems import DocumentError
from bot.documents.safe_xml import Element, parse_xml, side_part

_PARTS = re.compile(r"word/(?:document|footnotes|endnotes|comments)\d*\.xml")
_STYLES = re.compile(r"word/styles\d*\.xml")
_KEPT = re.compile(r".*\.(?:xml|rels)", re.IGNORECASE)
_PASSED = frozenset({"fldSimple", "ruby", "rubyBase", "dir", "bdo", "oMathPara"})
"""Elements whose text is in their children."""
MAX_EDGES = 50
"""Headers and footers, charts and diagrams."""


def readable(archive: zipfile.ZipFile) -> io.BytesIO:
    """The document with everything in elements that mammoth knows, without pictures and broken parts."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as file:
        for name in archive.namelist():
            with suppress(DocumentError):
                if _KEPT.fullmatch(name):
                    file.writestr(name, _changed(name, archive.read(name)))
    written.seek(0)
    return written


def headers(archive: zipfile.ZipFile) -> list[str]:
    return _edges(archive, "header", "Header")


def footers(archive: zipfile.ZipFile) -> list[str]:
    return _edges(archive, "footer", "Footer")


def drawings(archive: zipfile.ZipFile) -> Iterator[str]:
    """The texts of charts and diagrams, which are anywhere in the text."""
    for name in _named(archive, r"word/charts/chart\d*\.xml"):
        yield chart_text(side_part(archive, name))
    for name in _named(archive, r"word/diagrams/data\d*\.xml"):
        yield diagram_text(side_part(archive, name))


def plain_text(archive: zipfile.ZipFile) -> str:
    """Only the paragraphs, whatever else is wrong with the document."""
    return "\n\n".join(_lines(parse_xml(archive.read("word/document.xml"))))


def _named(archive: zipfile.ZipFile, pattern: str) -> list[str]:
    return sorted(name for name in archive.namelist() if re.fullmatch(pattern, name))[:MAX_EDGES]


def _edges(archive: zipfile.ZipFile, part: str, label: str) -> list[str]:
    """Each text above or below pages, once."""
    found = (
        " | ".join(_lines(side_part(archive, name)))
        for name in _named(archive, rf"word/{part}\d*\.xml")
    )
    return [f"{label}: {text}" for text in dict.fromkeys(found) if text]


def _lines(root: Element) -> Iterator[str]:
    for other in [*root.iter("{*}Fallback")]:
        other.getparent().remove(other)
    for paragraph in root.iter("{*}p"):
        text = "".join(
            each.text or "" if each.text else " " for each in paragraph.iter("{*}t", "{*}tab")
        )
        if text.strip():
            yield " ".join(text.split())


def _changed(name: str, data: bytes) -> bytes:
    if _STYLES.fullmatch(name):
        root = parse_xml(data)
        _complete_styles(root)
    elif _PARTS.fullmatch(name):
        root = parse_xml(data)
        _simplify(root)
    else:
        return data
    return bytes(etree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _complete_styles(root: Element) -> None:
    """Completes styles: one without a type is a paragraph style; mammoth expects both type and id."""
    space = f"{{{etree.QName(root).namespace}}}"
    for style in root.findall("{*}style"):
        style.set(f"{space}type", style.get(f"{space}type", "paragraph"))
        if style.get(f"{space}styleId") is None:
            root.remove(style)


def _simplify(root: Element) -> None:
    space = f"{{{etree.QName(root).namespace}}}"
    passed = f"{space}smartTag"
    for element in [*root.iter(etree.Element)]:
        kind = etree.QName(element).localname
        if kind == "AlternateContent":
            _choose(element, passed)
        elif kind == "oMath":
            text = _formula(element)
            element.clear(keep_tail=True)
            element.tag = f"{space}r"
            etree.SubElement(element, f"{space}t").text = text
        elif kind == "rt":  # the pronunciation of the characters below
            element.tag = f"{space}del"
        elif kind in _PASSED:
            element.tag = passed


def _choose(alternatives: Element, passed: str) -> None:
    """Of a drawing's two forms, chooses the newer one if only that has the text; mammoth takes the older one."""
    older = alternatives.find("{*}Fallback")
    if older is not None and older.find(".//{*}txbxContent") is not None:
        return
    for box in [*alternatives.iterfind("{*}Choice//{*}txbxContent")]:
        for outer in box.iterancestors():
            outer.tag = passed
            if outer is alternatives:
                break
    if alternatives.tag == passed and older is not None:
        alternatives.remove(older)


def _formula(element: Element) -> str:
    """A formula in one line."""
    kind = etree.QName(element).localname
    if kind == "t":
        return element.text or ""
    of = {etree.QName(child).localname: child for child in element if isinstance(child.tag, str)}
    match kind:
        case "f" if {"num", "den"} <= of.keys():
            return f"({_formula(of['num'])})/({_formula(of['den'])})"
        case "sSup" if {"e", "sup"} <= of.keys():
            return f"{_formula(of['e'])}^({_formula(of['sup'])})"
        case "sSub" if {"e", "sub"} <= of.keys():
            return f"{_formula(of['e'])}_({_formula(of['sub'])})"
        case "rad" if "e" in of:
            return f"√({_formula(of['e'])})"
    return "".join(_formula(child) for child in element if isinstance(child.tag, str))
