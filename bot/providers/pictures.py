"""Finds the pictures in a streamed answer, in every form that servers use. Pure.

A picture is a URL: `data:` with the bytes in it, or one from which they are fetched. It arrives in `images`, or among
the parts of the content; complete, in several pieces, or again in the last chunk.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

MAX_PICTURES = 8
"""Of one answer: further pictures are left out."""
MAX_PICTURE_BYTES = 20_000_000
"""Of one picture, as the server sends it."""
_MAX_ADDRESS = MAX_PICTURE_BYTES * 4 // 3 + 1_000
_MAX_ALL = 2 * _MAX_ADDRESS
"""Characters of all addresses of one answer."""
_TOO_LARGE = "data:,"
"""Replaces a URL that is longer than the limit: it contains no bytes."""
_KINDS = frozenset({"image_url", "image", "output_image", "input_image"})
_BEGINNINGS = ("data:", "https://", "http://")


class PictureCollector:
    """Collects the pictures of one answer from its deltas, or from its whole message."""

    def __init__(self) -> None:
        self._addresses: list[str] = []
        self._places: dict[int, int] = {}
        """Where each picture with a number of the server's own is in `_addresses`."""

    @property
    def size(self) -> int:
        """Bytes that the addresses take."""
        return sum(map(len, self._addresses))

    def addresses(self) -> tuple[str, ...]:
        """The URLs of the pictures, in order, each once."""
        return tuple(dict.fromkeys(self._addresses))

    def feed(self, delta: dict[str, Any]) -> None:
        """Takes the pictures from a delta or a message."""
        for entry in _pictures(delta):
            self._add(_address(entry), entry.get("index"))

    def _add(self, address: str, number: Any) -> None:
        number = number if type(number) is int else None
        if address.startswith(_BEGINNINGS):
            self._begin(address, number)
        elif address and self._addresses:
            at = self._places.get(number, -1) if number is not None else -1
            if self._addresses[at] != _TOO_LARGE:
                self._put(at, self._addresses[at] + address)

    def _begin(self, address: str, number: int | None) -> None:
        """A picture begins, or arrives again: unchanged, or with more data."""
        at = self._known(address, number)
        if at is not None:
            self._put(at, address)
        elif len(self._addresses) < MAX_PICTURES:
            self._addresses.append("")
            at = len(self._addresses) - 1
            self._put(at, address)
        if number is not None and at is not None:
            self._places[number] = at

    def _known(self, address: str, number: int | None) -> int | None:
        """The position of the picture that this URL repeats or continues."""
        same = (at for at, known in enumerate(self._addresses) if known == address)
        grown = self._places.get(number, 0) if number is not None else -1
        if self._addresses and address.startswith(self._addresses[grown]):
            return next(same, grown)
        return next(same, None)

    def _put(self, at: int, address: str) -> None:
        others = self.size - len(self._addresses[at])
        fits = len(address) <= _MAX_ADDRESS and len(address) + others <= _MAX_ALL
        self._addresses[at] = address if fits else _TOO_LARGE


def picture_bytes(address: str) -> bytes | None:
    """The bytes in a `data:` URL; None if there are none that can be decoded."""
    head, comma, content = address.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    try:
        content = "".join(content.split()).replace("-", "+").replace("_", "/")
        return base64.b64decode(content + "=" * (-len(content) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _pictures(delta: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The entries of a delta that contain a picture, or a piece of one."""
    for image in _listed(delta.get("images")):
        yield {"url": image} if isinstance(image, str) else image
    for part in _listed(delta.get("content")):
        if isinstance(part, dict) and part.get("type") in _KINDS:
            yield part


def _listed(holder: Any) -> list[Any]:
    parts = [holder] if isinstance(holder, dict) else holder
    return (
        [each for each in parts if isinstance(each, str | dict)] if isinstance(parts, list) else []
    )


def _address(entry: dict[str, Any]) -> str:
    """The URL in an entry: `image_url` as an object or a text, `url`, or the bytes alone."""
    for value in (entry.get("image_url"), entry.get("image"), entry.get("url")):
        value = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, str):
            return value
    for value in (entry.get("b64_json"), entry.get("result"), entry.get("data")):
        if isinstance(value, str):
            return value if value.startswith(_BEGINNINGS) else f"data:image/png;base64,{value}"
    return ""
