"""Server-sent events as model servers really send them: bytes in, payloads out; no I/O.

Every `data:` line is a payload of its own. Servers that forget the blank line between events, its end, or the space
after the colon are read all the same, which is why this is not the strict parser of a library.
"""

from __future__ import annotations


class DataLineParser:
    """Cuts a byte stream into the payloads of its `data:` lines, wherever the network has cut it."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self.buffered = 0
        """Bytes that wait for the end of their line."""
        self.unknown_lines = 0
        """Lines that belong to no event stream."""

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
        """The payload of a last line that no newline ended."""
        return self.feed(b"\n")

    def _payload(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            return line[5:].strip()
        if not line or line.startswith((b":", b"event:", b"id:", b"retry:")):
            return None
        if line.startswith(b"{"):  # an error written bare into the stream
            return line
        self.unknown_lines += 1
        return None
