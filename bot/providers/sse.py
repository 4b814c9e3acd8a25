"""Parses server-sent events as model servers really send them: bytes in, payloads out; no I/O.

Every `data:` line is a payload of its own. Servers that leave out the blank line between events, the last newline or
the space after the colon are read all the same, which the strict parser of a library would not do.
"""

from __future__ import annotations


class DataLineParser:
    """Splits a byte stream into the payloads of its `data:` lines, wherever the network has split it."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self.buffered = 0
        """Bytes of a line whose end has not arrived."""
        self.unknown_lines = 0
        """Lines that are not part of an event stream."""

    def feed(self, block: bytes) -> list[bytes]:
        """The payloads that `block` completes."""
        if b"\r" in block:
            block = block.replace(b"\r", b"\n")
        head, newline, tail = block.rpartition(b"\n")
        if not newline:
            self._rest.append(block)
            self.buffered += len(block)
            return []
        if self._rest:
            head = b"".join(self._rest) + head
        self._rest, self.buffered = [tail], len(tail)
        return [payload for line in head.split(b"\n") if (payload := self._payload(line))]

    def flush(self) -> list[bytes]:
        """The payload of a last line without a newline."""
        return self.feed(b"\n")

    def _payload(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            return line[5:].strip()
        if not line or line.startswith((b":", b"event:", b"id:", b"retry:")):
            return None
        if line.startswith(b"{"):  # an error without `data:`
            return line
        self.unknown_lines += 1
        return None
