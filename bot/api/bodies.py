"""Reads the bodies of requests: only of those who may send them, within the process's memory, and in a limited time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from bot.api.auth import bearer_token
from bot.api.context import context_of
from bot.api.errors import ApiError
from bot.memory import HeldBytes

MAX_BODY_BYTES = 40_000_000
"""Five images of five megabytes each in base64, and the texts beside them."""
SMALL_BODY_BYTES = 100_000
"""A body up to this size is read at once, however much memory others take."""
BODY_TIMEOUT = 60.0
"""Seconds for a whole body, once there is room for it."""
ROOM_TIMEOUT = 20.0
"""Seconds that a large body waits for room."""
DISCARD_TIMEOUT = 5.0
"""Seconds for what a client still sends after it was refused: it would not read the response before that."""
MAX_PARTS = 450_000
"""Commas and brackets: as many as the texts of a message may hold. Each may cost a hundred bytes once it is parsed."""
_COST = 3
"""Bytes of memory for each byte of a body: as it came, decoded, and parsed."""


class GuardedRoute(APIRoute):
    """A route that looks at the token first, and then reads the body. What it takes is given back with the response.

    A response that has to wait for something must do so when it is sent, not before it is returned.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            context = context_of(request)
            try:
                user = await context.authenticator.authenticate(bearer_token(request.headers))
            except ApiError:
                await discard_body(request.scope, request.receive, context.body_gap)
                raise
            request.state.user = user
            with context.memory.hold(f"{user.team} {user.id}") as held:
                request.state.held = held
                if not has_body(request.scope):
                    return await handle(request)
                reader = BodyReader(request.scope, request.receive, context.body_gap)
                try:
                    body = await reader.read(held)
                except ClientDisconnect:
                    return Response(status_code=400)  # which nobody reads
                return await handle(Request(request.scope, replay(body, request.receive)))

        return guarded


class BodyReader:
    """One body, on its way."""

    def __init__(
        self, scope: Scope, receive: Receive, gap_timeout: float, most: int = MAX_BODY_BYTES
    ) -> None:
        """`gap_timeout`: seconds between two pieces."""
        self._scope = scope
        self._receive = receive
        self._gap_timeout = gap_timeout
        self._most = most
        declared = dict(scope["headers"]).get(b"content-length", b"")
        self._declared = int(declared[:20]) if declared.isdigit() else None
        self._pieces: list[bytes] = []
        self._size = 0
        self._more = True

    async def read(self, held: HeldBytes | None = None) -> bytes:
        """The whole body. `held`: what a large one takes.

        Raises ApiError: 408, 413, or 503 when there is no room; ClientDisconnect.
        """
        try:
            if (self._declared or 0) > self._most:
                raise self._too_large()
            await self._read_in_time(min(SMALL_BODY_BYTES, self._most))
            if self._more and self._size <= self._most:
                if held is not None:
                    await make_room(held, _COST * (self._declared or self._most))
                await self._read_in_time(self._most)
            if self._size > self._most:
                raise self._too_large()
        except ApiError:
            self._pieces.clear()
            await discard_body(self._scope, self._receive, self._gap_timeout)
            raise
        body = b"".join(self._pieces)
        if sum(map(body.count, b",[{")) > MAX_PARTS:
            raise ApiError(413, "Content too large", "The body has too many parts.")
        return body

    async def _read_in_time(self, until: int) -> None:
        """Reads on, until there is more than this or nothing more comes."""
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                while self._more and self._size <= until:
                    async with asyncio.timeout(self._gap_timeout):
                        message = await self._receive()
                    self._add(message)
        except TimeoutError:
            raise ApiError(
                408,
                "Request timeout",
                "The rest of the request did not come in time.",
                headers={"Connection": "close"},
            ) from None

    def _add(self, message: Message) -> None:
        if message["type"] != "http.request":
            raise ClientDisconnect
        self._pieces.append(message.get("body", b""))
        self._size += len(self._pieces[-1])
        self._more = bool(message.get("more_body"))

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


async def discard_body(scope: Scope, receive: Receive, gap_timeout: float) -> None:
    """Reads what a refused client still sends, as far as it comes soon, and keeps none of it."""
    if not has_body(scope):
        return
    try:
        async with asyncio.timeout(DISCARD_TIMEOUT):
            more = True
            while more:
                async with asyncio.timeout(gap_timeout):
                    more = (await receive()).get("more_body", False)
    except TimeoutError:
        pass


def replay(body: bytes, receive: Receive) -> Receive:
    """Receives the body first, as one piece, then whatever `receive` gives."""
    waiting = [body]

    async def replayed() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replayed


async def make_room(held: HeldBytes, count: int) -> None:
    """Takes so many bytes, as soon as there is room. Raises ApiError (503) if that lasts too long."""
    try:
        async with asyncio.timeout(ROOM_TIMEOUT):
            await held.add(count)
    except TimeoutError:
        message = "Too many large requests are under way. Try again in a moment."
        raise ApiError(503, "Busy", message, headers={"Retry-After": "10"}) from None
