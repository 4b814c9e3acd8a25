"""Reads request bodies: only from clients who may send them, within the process's memory budget, and in a limited
time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, get_type_hints

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from bot.api.attached import WithAttachments
from bot.api.auth import bearer_token
from bot.api.context import context_of
from bot.api.errors import ApiError, invalid
from bot.api.json_bodies import JsonBody, TooDeep, TooManyParts
from bot.api.upload_limits import BandwidthLimiter, UploadLimits
from bot.runtime.memory import MemoryReservation

MAX_BODY_BYTES = 40_000_000
"""Five images of five megabytes each in base64, and accompanying texts: for routes that take files."""
SMALL_BODY_BYTES = 100_000
"""A body up to this size is read immediately, however much memory others take. Most routes accept no larger ones."""
BODY_TIMEOUT = 60.0
"""Seconds for a whole body, once there is room for it."""
ROOM_TIMEOUT = 20.0
"""Seconds that a large body waits for room."""
DISCARD_TIMEOUT = 5.0
"""Seconds for reading what a refused client is still sending, because it would not read the response before that."""
_COST = 2
"""Bytes of memory for each byte of a body: as received, and decoded."""
_COMPRESSIONS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress"})


class GuardedRoute(APIRoute):
    """A route that checks the token first, and then reads the body. Its memory is released with the response.

    A response that has to wait for something must do so when it is sent, not before it is returned. In the
    documentation it is called what its endpoint says first about itself.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        said = " ".join((endpoint.__doc__ or "").split())
        options["summary"] = options.get("summary") or said.partition(". ")[0].rstrip(".")
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        most = MAX_BODY_BYTES if _takes_attachments(self.endpoint) else SMALL_BODY_BYTES

        async def guarded(request: Request) -> Response:
            context = context_of(request)
            reader = BodyReader(request.scope, request.receive, context.upload_limits, most)
            try:
                user = await context.authenticator.authenticate(bearer_token(request.headers))
            except ApiError:
                await reader.discard()
                raise
            request.state.user = user
            if _is_compressed(request):
                await reader.discard()
                raise invalid("Send the body as it is, without Content-Encoding.")
            with context.memory.reserve(f"{user.team} {user.id}") as reservation:
                request.state.reservation = reservation
                body = ApiBody()
                try:
                    await reader.read_into(body, reservation)
                except ClientDisconnect:
                    return Response(status_code=400)  # which nobody reads
                return await handle(JsonRequest(request.scope, body.json))

        return guarded


def _takes_attachments(endpoint: Callable[..., Any]) -> bool:
    return any(
        isinstance(hint, type) and issubclass(hint, WithAttachments)
        for hint in get_type_hints(endpoint).values()
    )


class JsonRequest(Request):
    """A request whose body has been read and parsed."""

    def __init__(self, scope: Scope, read: JsonBody) -> None:
        super().__init__(scope)
        self._read = read

    async def body(self) -> bytes:
        return self._read.plain

    async def json(self) -> Any:
        return self._read.value()


class BodySink(Protocol):
    """Receives a body's pieces."""

    def add(self, piece: bytes) -> None:
        """Raises ApiError if the body is refused."""
        ...


class ApiBody:
    """The body of an API request."""

    def __init__(self) -> None:
        self.json = JsonBody()

    def add(self, piece: bytes) -> None:
        try:
            self.json.add(piece)
        except TooManyParts:
            message = "The body has too many parts, or too many bytes beside its long texts."
            raise ApiError(413, "Content too large", message) from None
        except TooDeep:
            raise invalid("The body is nested too deeply.") from None


class WholeBody:
    """A body as received."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def whole(self) -> bytes:
        return b"".join(self._pieces)


class BodyReader:
    """A body that is being received."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        upload_limits: UploadLimits,
        most: int = MAX_BODY_BYTES,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._upload_limits = upload_limits
        self._most = most
        declared = dict(scope["headers"]).get(b"content-length", b"")
        self._declared = int(declared[:20]) if declared.isdigit() else None
        self._size = 0
        self._more = has_body(scope)

    async def read_into(self, sink: BodySink, reservation: MemoryReservation | None = None) -> None:
        """Passes the whole body to the sink. `reservation`: the memory for a large one.

        Raises ApiError: 408, 413, 503 if there is no room, or what the sink raises; ClientDisconnect.
        """
        try:
            if (self._declared or 0) > self._most:
                raise self._too_large()
            await self._read_in_time(min(SMALL_BODY_BYTES, self._most), sink)
            if self._more and self._size <= self._most:
                if reservation is not None:
                    await make_room(reservation, _COST * (self._declared or self._most))
                await self._read_in_time(self._most, sink)
            if self._size > self._most:
                raise self._too_large()
        except ApiError:
            await self.discard()
            raise

    async def discard(self) -> None:
        """Reads what a refused client is still sending, for a short time, and keeps none of it."""
        try:
            async with asyncio.timeout(DISCARD_TIMEOUT):
                while self._more:
                    await self._next_piece(self._upload_limits.discarding)
        except (TimeoutError, ClientDisconnect):
            pass

    async def _read_in_time(self, until: int, sink: BodySink) -> None:
        """Reads until there is more than this or the body ends."""
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                while self._more and self._size <= until:
                    sink.add(await self._next_piece(self._upload_limits.reading))
        except TimeoutError:
            raise ApiError(
                408,
                "Request timeout",
                "The rest of the request did not come in time.",
                headers={"Connection": "close"},
            ) from None

    async def _next_piece(self, limiter: BandwidthLimiter) -> bytes:
        """Raises TimeoutError, ClientDisconnect."""
        async with asyncio.timeout(self._upload_limits.gap_timeout):
            message = await self._receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        self._size += len(piece)
        self._more = bool(message.get("more_body"))
        if self._size > SMALL_BODY_BYTES:
            await limiter.consume(len(piece))
        return piece

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            "Content too large",
            f"A request may carry at most {self._most:,} bytes.",
            headers={"Connection": "close"},
        )


def has_body(scope: Scope) -> bool:
    """Whether a body was announced."""
    names = {name for name, _ in scope["headers"]}
    return b"content-length" in names or b"transfer-encoding" in names


def replay(body: bytes, receive: Receive) -> Receive:
    """Receives the body first, as one piece, then whatever `receive` returns."""
    waiting = [body]

    async def replayed() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replayed


async def make_room(reservation: MemoryReservation, count: int) -> None:
    """Takes this many bytes as soon as there is room. Raises ApiError (503) if that takes too long."""
    try:
        async with asyncio.timeout(ROOM_TIMEOUT):
            await reservation.add(count)
    except TimeoutError:
        message = "Too many large requests are under way. Try again in a moment."
        raise ApiError(503, "Busy", message, headers={"Retry-After": "10"}) from None


def _is_compressed(request: Request) -> bool:
    """Some clients send odd values with a plain body."""
    encodings = request.headers.get("content-encoding", "").lower().split(",")
    return not _COMPRESSIONS.isdisjoint(each.strip() for each in encodings)
