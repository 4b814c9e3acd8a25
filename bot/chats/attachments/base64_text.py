"""Decodes base64 files piece by piece, because a single call that decodes megabytes would block the event loop."""

from __future__ import annotations

import asyncio
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

_PIECE = 50_000
"""Characters that are decoded in one call."""
_WHITESPACE = b" \t\n\r\v\f"
_MAX_HEAD = 500
"""Characters of a data URL before its data."""
_HEAD = re.compile(rb"data:[\w/+.-]*(?:;[\w=+.-]*)*;base64", re.IGNORECASE)
_SCHEME = re.compile(rb"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class NotBase64(Exception):
    """The text is neither base64 nor a data URL with base64."""


class NotFetched(NotBase64):
    """The text is some other URL, which is never fetched."""


class TooLarge(Exception):
    """There are more bytes than allowed."""


@dataclass(frozen=True, slots=True)
class Base64Text:
    """A file in base64, or in a data URL."""

    pieces: Callable[[], Iterable[bytes]] = field(repr=False)
    """Its characters, in pieces of any size. Iterating raises ValueError for characters that are not ASCII."""

    @classmethod
    def of(cls, text: str) -> Base64Text:
        def pieces() -> Iterator[bytes]:
            for begin in range(0, len(text), _PIECE):
                yield text[begin : begin + _PIECE].encode("ascii")

        return cls(pieces)

    async def decode(self, most: int) -> bytes:
        """Returns the bytes. Raises NotBase64, NotFetched, or TooLarge for more than `most` bytes."""
        decoder = _Decoder(most)
        try:
            for piece in _without_head(self.pieces()):
                for begin in range(0, len(piece), _PIECE):
                    decoder.add(piece[begin : begin + _PIECE])
                    await asyncio.sleep(0)  # lets other tasks run
            return decoder.end()
        except ValueError:
            raise NotBase64 from None


class _Decoder:
    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self._rest = b""
        """Up to three characters, which go with the next ones."""
        self._padded = False

    def add(self, piece: bytes) -> None:
        clean = self._rest + piece.translate(None, _WHITESPACE)
        whole = len(clean) // 4 * 4
        self._rest = clean[whole:]
        if not whole:
            return
        if self._padded:
            raise NotBase64
        self._data += binascii.a2b_base64(clean[:whole], strict_mode=True)
        self._padded = clean[:whole].endswith(b"=")
        if len(self._data) > self._most:
            raise TooLarge

    def end(self) -> bytes:
        if self._rest:
            raise NotBase64
        return bytes(self._data)


def _without_head(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces without the head of a data URL. Raises NotFetched for another URL."""
    rest = iter(pieces)
    first = b""
    for piece in rest:
        first += piece
        if len(first) >= _MAX_HEAD:
            break
    head, comma, data = first.partition(b",")
    if comma and len(head) <= _MAX_HEAD and _HEAD.fullmatch(head):
        yield data
    elif _SCHEME.match(first[:_MAX_HEAD]):
        raise NotFetched
    else:
        yield first
    yield from rest
