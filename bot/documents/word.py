"""docx to Markdown."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import Any
from xml.parsers.expat import ExpatError

import mammoth

from bot.documents.markdown import html_to_markdown
from bot.documents.word_xml import drawings, footers, headers, plain_text, readable

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => h2:fresh
comment-reference => sup
"""
# Links between a text and its notes, which would lead nowhere in a message.
_REFERENCE = re.compile(r"\[\[([^\]\n]+)\]\]\(#(?:comment|footnote|endnote)-\d+\)")
_TIP = re.compile(r"\" \\o \"[^)\n]*(?=\))")
"""A link's tooltip, which mammoth takes for a part of its address."""
_UNREADABLE = (KeyError, ValueError, AttributeError, TypeError, IndexError, OSError, ExpatError)
"""What mammoth raises for broken documents."""
_BACK = re.compile(r" *\[↑\]\(#[\w-]+\)")


def read_docx(archive: zipfile.ZipFile) -> Iterator[str]:
    """Headers, headings, lists, tables, footnotes, comments, footers, charts; pictures are left out."""
    yield from headers(archive)
    yield _body(archive)
    yield from footers(archive)
    yield from drawings(archive)


def _body(archive: zipfile.ZipFile) -> str:
    images = mammoth.images.img_element(_nothing)
    try:
        html = mammoth.convert_to_html(
            readable(archive), style_map=_STYLES, convert_image=images
        ).value
    except _UNREADABLE:
        return plain_text(archive)  # programs violate the standard
    text = _REFERENCE.sub(r"[\1]", html_to_markdown(html))
    return _TIP.sub("", _BACK.sub("", text))


def _nothing(_: Any) -> dict[str, str]:
    return {"src": ""}
