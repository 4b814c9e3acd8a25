"""Parses JSON bodies as they arrive, so that no step takes long, however large or unusual a body is.

A single call of Python's JSON parser blocks all other Python code, in other threads too. So little is parsed in one
call: long strings, such as files in base64, are taken out first and kept in the pieces in which they arrived, and a
body of very many or deeply nested values is refused before most of it has been read.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Iterator
from typing import Any

MAX_PARTS = 10_000
"""Values, keys, commas and brackets: the largest acceptable message has some hundreds."""
MAX_DEPTH = 500
"""Brackets that are open at the same time."""
MAX_ESCAPED_QUOTES = 500_000
"""As many as the longest texts of a message may contain."""
MAX_PLAIN_BYTES = 2_000_000
"""What is parsed in one call: the body without its long strings."""
LONG_STRING = 50_000
"""Bytes from which on a string is long."""
MAX_TEXT_BYTES = 2_400_000
"""The limit for a long string that is a text: 200,000 characters, each written as two escapes of six bytes."""
_LONGEST_ESCAPE = 6
_PART_MARKS = b",:[{"
_CONTINUATIONS = bytes(range(0x80, 0xC0))
"""Bytes that begin no character in UTF-8."""


class TooDeep(Exception):
    """The body is nested too deeply to be parsed."""


class TooManyParts(Exception):
    """The body has too many values, or too many bytes besides its long strings, to be parsed."""


class LongString:
    """A long string of a body, as it was between its quotes. It can be read once."""

    def __init__(self, pieces: list[bytes], size: int) -> None:
        self._pieces = deque(pieces)
        self._size = size

    @property
    def characters(self) -> int:
        """How many characters stand between the quotes."""
        return sum(len(piece.translate(None, _CONTINUATIONS)) for piece in self._pieces)

    def text(self) -> str:
        """Raises ValueError if it is too long for a text, or malformed."""
        if self._size > MAX_TEXT_BYTES:
            raise ValueError("This text is too long")
        return _parse(b"".join(self.raw_pieces()))

    def raw_pieces(self) -> Iterator[bytes]:
        while self._pieces:
            yield self._pieces.popleft()

    def ascii_pieces(self) -> Iterator[bytes]:
        """Its characters, piece by piece. Raises ValueError for other characters and malformed escapes."""
        rest = b""
        for raw in self.raw_pieces():
            piece = rest + raw
            cut = piece.rfind(b"\\", max(0, len(piece) - _LONGEST_ESCAPE + 1))
            rest = b"" if cut < 0 else piece[cut:]  # an escape that may continue in the next piece
            whole = piece if cut < 0 else piece[:cut]
            yield _parse(whole).encode("ascii") if b"\\" in whole else whole
        yield _parse(rest).encode("ascii")


def _parse(raw: bytes) -> str:
    text: str = json.loads(b'"%s"' % raw)
    return text


class JsonBody:
    """One body, as it arrives."""

    def __init__(self) -> None:
        self._plain = bytearray()
        """The body, with a mark in place of each long string."""
        self._long: dict[str, LongString] = {}
        """By their marks."""
        self._secret = secrets.token_hex(8)
        self._string: list[bytes] | None = None
        """The string that is being read."""
        self._string_size = 0
        self._escaped = False
        """The string's last byte was a backslash that belongs to the next one."""
        self._parts = 0
        self._depth = 0
        self._escaped_quotes = 0

    def add(self, piece: bytes) -> None:
        """Raises TooManyParts, TooDeep."""
        begin = 0
        while begin < len(piece):
            if self._string is None:
                begin = self._add_outside(piece, begin)
            else:
                begin = self._add_inside(piece, begin, self._string)
            self._check()

    @property
    def plain(self) -> bytes:
        """The body read so far, without long strings."""
        return bytes(self._plain)

    def value(self) -> Any:
        """The body's value, with a `LongString` in place of each long string.

        Raises JSONDecodeError, with the position in the body as it arrived; RecursionError.
        """
        if self._string is not None:
            self._plain += b'"'  # which is never closed
        try:
            root = [json.loads(self.plain)]
        except json.JSONDecodeError as error:
            at = error.pos + self._left_out(error.doc[: error.pos])
            raise json.JSONDecodeError(error.msg, error.doc, at) from None
        self._put_back(root)
        return root[0]

    def _add_outside(self, piece: bytes, begin: int) -> int:
        """Up to the next string; returns where it begins."""
        quote = piece.find(b'"', begin)
        end = len(piece) if quote < 0 else quote
        between = piece[begin:end]
        self._parts += sum(map(between.count, _PART_MARKS))
        self._depth += sum(map(between.count, b"[{")) - sum(map(between.count, b"]}"))
        self._plain += between
        if quote >= 0:
            self._string, self._string_size = [], 0
            self._parts += 1
        return end + 1

    def _add_inside(self, piece: bytes, begin: int, string: list[bytes]) -> int:
        """Up to the end of the string; returns where the rest begins."""
        quote = self._closing_quote(piece, begin)
        end = len(piece) if quote < 0 else quote
        string.append(piece[begin:end])
        self._string_size += end - begin
        if quote >= 0:
            self._end_string(string)
        return end + 1

    def _closing_quote(self, piece: bytes, begin: int) -> int:
        """Where the string ends; -1 if not in this piece."""
        at = begin + 1 if self._escaped else begin
        self._escaped = False
        while (quote := piece.find(b'"', at)) >= 0:
            if not _ends_escaped(piece[at:quote]):
                return quote
            self._escaped_quotes += 1
            at = quote + 1
        self._escaped = _ends_escaped(piece[at:])
        return -1

    def _end_string(self, string: list[bytes]) -> None:
        self._string = None
        if self._string_size <= LONG_STRING:
            self._plain += b'"%s"' % b"".join(string)
            return
        mark = f"{self._secret}{len(self._long)}"
        self._long[mark] = LongString(string, self._string_size)
        self._plain += b'"%s"' % mark.encode()

    def _check(self) -> None:
        if self._depth > MAX_DEPTH:
            raise TooDeep
        if (
            self._parts > MAX_PARTS
            or self._escaped_quotes > MAX_ESCAPED_QUOTES
            or len(self._plain) > MAX_PLAIN_BYTES
        ):
            raise TooManyParts

    def _left_out(self, before: str) -> int:
        """How many characters of the body are missing in this beginning, where marks stand for long strings."""
        at = missing = 0
        for mark, string in self._long.items():  # in the order in which they arrived
            at = before.find(mark, at)
            if at < 0:
                break
            missing += string.characters - len(mark)
        return missing

    def _put_back(self, root: list[Any]) -> None:
        """Puts the long strings back where their marks are. Not recursive, because bodies may be nested deeply."""
        holders: list[Any] = [root]
        while holders:
            holder = holders.pop()
            for key, value in list(
                holder.items() if isinstance(holder, dict) else enumerate(holder)
            ):
                if isinstance(value, str):
                    holder[key] = self._long.get(value, value)
                elif isinstance(value, dict | list):
                    holders.append(value)


def _ends_escaped(text: bytes) -> bool:
    """Whether the next character is escaped: whether an odd number of backslashes is at the end."""
    return (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
