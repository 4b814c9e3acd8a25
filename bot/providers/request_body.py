"""The body of a request with attachments: each is read, encoded and sent piece by piece.

So a chat with many pictures takes no more memory than one piece of one picture while it is sent, however slowly its
server reads, and none afterwards. Each piece counts in the memory budget.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import httpx

from bot.domain import Attachment
from bot.errors import ChatNotFound, StorageError
from bot.runtime.memory import MemoryBudget, MemoryReservation

ReadAttachment = Callable[[Attachment, int, int], Awaitable[bytes]]
"""Reads this many bytes of an attachment from an offset on. Raises ChatNotFound when it is gone, StorageError."""
ServerWaits = Callable[[], AbstractContextManager[None]]
"""While this is open, the server is waiting for the bot, and not the bot for the server."""
PIECE = 240_000
"""Bytes that are read at a time; a multiple of three, so that the encoded pieces join."""
_PIECE_COST = PIECE * 7 // 3
"""Bytes of memory that a piece and its encoding take."""
WRITE_SIZE = 64 * 1024
"""Bytes that are written at once, so that other tasks get their turn."""


async def nothing_to_read(attachment: Attachment, start: int, count: int) -> bytes:
    """A `ReadAttachment` for requests without attachments."""
    raise ChatNotFound


class AttachmentUrls:
    """Placeholders for attachments in a body until it is sent: their `data:` URLs, with a mark instead of the bytes."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)
        self._attachments: list[Attachment] = []

    def url(self, attachment: Attachment) -> str:
        self._attachments.append(attachment)
        return f"data:{attachment.mime};base64,{self._mark}{len(self._attachments) - 1};"

    def parts(self, body: Mapping[str, Any]) -> list[bytes | Attachment]:
        """The body as JSON, split at the attachments whose bytes belong there."""
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        found = re.split(rf"{self._mark}(\d+);", written)
        return [
            self._attachments[int(part)] if at % 2 else part.encode()
            for at, part in enumerate(found)
        ]


class RequestBody(httpx.AsyncByteStream):
    """A body that can be sent as often as needed. Must be closed."""

    def __init__(
        self,
        parts: Sequence[bytes | Attachment],
        read: ReadAttachment = nothing_to_read,
        reservation: MemoryReservation | None = None,
        server_waits: ServerWaits = nullcontext,
    ) -> None:
        """`reservation`: where its bytes are counted. `server_waits`: open while a piece is not ready yet."""
        self._server_waits = server_waits
        self._parts = parts
        self._read = read
        self._whole = reservation or MemoryReservation(MemoryBudget())
        self._reservation = self._whole.part()
        self.failure: ChatNotFound | StorageError | None = None
        """Why it could not be sent to its end."""

    def content(self) -> bytes | RequestBody:
        """What the HTTP client is given: without attachments, the bytes, which are sent together with the headers."""
        first = self._parts[0]
        return first if len(self._parts) == 1 and isinstance(first, bytes) else self

    def headers(self) -> dict[str, str]:
        sizes = (
            len(part) if isinstance(part, bytes) else -(-part.size // 3) * 4 for part in self._parts
        )
        return {"Content-Type": "application/json", "Content-Length": str(sum(sizes))}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.close()
        reservation = self._reservation = self._whole.part()
        for part in self._parts:
            async for block in self._blocks(part, reservation):
                for at in range(0, len(block), WRITE_SIZE):
                    yield block[at : at + WRITE_SIZE]

    async def _blocks(
        self, part: bytes | Attachment, reservation: MemoryReservation
    ) -> AsyncIterator[bytes]:
        """The part as it is sent. For an attachment, one piece at a time is held."""
        if isinstance(part, bytes):
            yield part
            return
        for start in range(0, part.size, PIECE):
            with self._server_waits():
                # Otherwise it is closed while its end is still being sent.
                if reservation is self._reservation:
                    await reservation.add(_PIECE_COST)
                piece = await self._piece(part, start)
            yield base64.b64encode(piece)
            reservation.release()

    async def _piece(self, attachment: Attachment, start: int) -> bytes:
        try:
            return await self._read(attachment, start, PIECE)
        except (ChatNotFound, StorageError) as error:
            self.failure = error
            raise

    def close(self) -> None:
        """Releases all of its memory, even if its sender does not know yet."""
        self._reservation.release()
        self._reservation = self._whole.part()

    async def aclose(self) -> None:
        self.close()
