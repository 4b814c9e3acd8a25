"""rtf to Markdown: its text, and its tables (Rich Text Format specification 1.9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from striprtf.striprtf import rtf_to_text

from bot.documents.tables import table

# Private-use characters in place of those that striprtf turns into bars and line breaks.
_ROW_BEGINS, _CELL_ENDS, _ROW_ENDS = "\ue000", "\ue001", "\ue002"
_MARKS = {
    "trowd": _ROW_BEGINS,
    "cell": _CELL_ENDS,
    "row": _ROW_ENDS,
    "footnote": "† ",  # striprtf would drop it
    "\\": "\\",
}
_MARKED = re.compile(r"\\(?:(\\)|(trowd|cell|row|footnote)(?![A-Za-z0-9-]) ?)")
_ROW = re.compile(f"[{_ROW_BEGINS}{_ROW_ENDS}]")
_BINARY_WITHOUT_LENGTH = re.compile(r"\\bin(?![0-9])")
_ENCODINGS = {"ansi": "cp1252", "mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_STATED = re.compile(r"\\(ansi|mac|pca?)(?![A-Za-z0-9])")
_HEAD = 200
"""Characters within which a document states its encoding."""


def read_rtf(data: bytes) -> Iterator[str]:
    """The paragraphs and tables in order."""
    source = _BINARY_WITHOUT_LENGTH.sub("", data.decode("latin-1"))
    marked = _MARKED.sub(lambda found: _escaped(_MARKS[found[1] or found[2]]), source)
    encoding = next((_ENCODINGS[each] for each in _STATED.findall(source[:_HEAD])), "cp1252")
    text = str(rtf_to_text(marked, encoding, "replace"))  # type: ignore[no-untyped-call]
    yield from _blocks(_joined(text))


def _escaped(text: str) -> str:
    """The characters in RTF, with nothing for readers that do not support them."""
    codes = "".join(rf"\u{ord(char)} " for char in text)
    return rf"{{\uc0{codes}}}"


def _joined(text: str) -> str:
    """The text with surrogate pairs, which RTF writes separately, joined into characters."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _blocks(text: str) -> Iterator[str]:
    """A row also ends with its last cell if the document does not end it explicitly."""
    rows: list[list[str]] = []
    for piece in _ROW.split(text):
        *cells, after = piece.split(_CELL_ENDS)
        if cells:
            rows.append(cells)
        if after := after.strip():
            yield table(rows)
            rows = []
            yield after
    yield table(rows)
