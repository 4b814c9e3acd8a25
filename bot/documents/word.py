"""docx to Markdown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import mammoth

from bot.documents.markdown import html_to_markdown

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => h2:fresh
"""


def read_docx(data: bytes) -> Iterator[str]:
    """Headings, lists, tables, footnotes and comments; pictures are left out."""
    images = mammoth.images.img_element(_nothing)
    html = mammoth.convert_to_html(io.BytesIO(data), style_map=_STYLES, convert_image=images).value
    yield html_to_markdown(html)


def _nothing(_: Any) -> dict[str, str]:
    return {"src": ""}
