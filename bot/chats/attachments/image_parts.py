"""Counts the parts of an image: its decoder reads each one in Python, and a small file may have millions. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

MAX_PARTS = 100_000
"""The largest acceptable pictures have fewer: blocks of a GIF have 255 bytes, chunks of a PNG thousands."""

_PNG_SIGNATURE = 8
_PNG_BESIDE = 12
"""Bytes of a chunk besides its content: length, type, checksum."""
_GIF_HEADER = 13
_GIF_IMAGE = 9
_SCAN, _STANDALONE = 0xDA, frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
"""Markers of a JPEG: the one that begins its content, and those without a length."""


def has_too_many_parts(data: bytes, mime: str) -> bool:
    """Whether it has more than `MAX_PARTS`. Reads no further than that."""
    parts = _PARTS.get(mime)
    return parts is not None and next(islice(parts(data), MAX_PARTS, None), None) is not None


def _png_chunks(data: bytes) -> Iterator[int]:
    """Where each chunk begins."""
    at = _PNG_SIGNATURE
    while at < len(data):
        yield at
        at += _PNG_BESIDE + int.from_bytes(data[at : at + 4])


def _jpeg_segments(data: bytes) -> Iterator[int]:
    """Where each segment before the content begins, and each byte outside of segments."""
    at = 2
    while at + 1 < len(data):
        yield at
        if data[at] != 0xFF or data[at + 1] == 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if marker == _SCAN:
            return
        has_length = marker not in _STANDALONE
        at += 2 + (int.from_bytes(data[at + 2 : at + 4]) if has_length else 0)


def _gif_blocks(data: bytes) -> Iterator[int]:
    """Where each block before the second frame begins, and each byte outside of blocks."""
    at, frames = _GIF_HEADER + _palette(data[10:11]), 0
    while at < len(data) and frames < 2:
        yield at
        kind, at = data[at : at + 1], at + 1
        if kind == b"!":
            at += 1
        elif kind == b",":
            at += _GIF_IMAGE + _palette(data[at + 8 : at + 9]) + 1
            frames += 1
        else:
            continue
        while size := int.from_bytes(data[at : at + 1]):
            yield at
            at += 1 + size
        at += 1


def _palette(flags: bytes) -> int:
    """Bytes of the following palette."""
    value = int.from_bytes(flags)
    return 3 << (value & 7) + 1 if value & 128 else 0


_PARTS: Mapping[str, Callable[[bytes], Iterator[int]]] = {
    "image/png": _png_chunks,
    "image/jpeg": _jpeg_segments,
    "image/gif": _gif_blocks,
}
