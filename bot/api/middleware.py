"""Wraps the application: what is served while it starts, and limits on the bodies of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.api.errors import error_body

MAX_BODY_BYTES = 40_000_000
"""Five images of five megabytes each in base64, and the texts beside them."""
MAX_SLACK_BODY_BYTES = 1_000_000
"""Of the body of a request from Slack."""
BODY_TIMEOUT = 120.0
"""Seconds for a whole body."""


class LazyApp:
    """An application that is made at its first request, because making it takes as long as the rest of a start."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)


class StartupApp:
    """Passes requests to an application while one is open.

    Before and after that it answers /healthz with 200 and everything else with 503.
    """

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    def open(self, app: ASGIApp) -> None:
        self._app = app

    def close(self) -> None:
        self._app = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            response = _alive() if scope["path"] == "/healthz" else _unavailable()
            await response(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})


def _alive() -> JSONResponse:
    return JSONResponse({"alive": True})


def _unavailable() -> JSONResponse:
    return JSONResponse(
        error_body("Unavailable", "Bobbin is starting or ending. Try again in a moment."), 503
    )


class BodyTooLarge(Exception):
    """A request's body exceeds the limit."""


class BodyLimit:
    """Reads each body before the application sees the request, and limits its size and the time it may take."""

    def __init__(
        self, app: ASGIApp, *, gap_timeout: float, max_bytes_by_path: Mapping[str, int]
    ) -> None:
        """`gap_timeout`: seconds between two pieces of a body. `max_bytes_by_path`: replaces MAX_BODY_BYTES there."""
        self._app = app
        self._gap_timeout = gap_timeout
        self._max_bytes_by_path = max_bytes_by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        max_bytes = self._max_bytes_by_path.get(scope["path"], MAX_BODY_BYTES)
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await self._read(scope, receive, max_bytes)
        except BodyTooLarge:
            message = f"A request may carry at most {max_bytes:,} bytes."
            await _refusal(413, "Content too large", message)(scope, receive, send)
            return
        except TimeoutError:
            message = "The rest of the request did not come in time."
            await _refusal(408, "Request timeout", message)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive, max_bytes: int) -> bytes | None:
        """The whole body; None when the client has disconnected. Raises BodyTooLarge, TimeoutError."""
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > max_bytes:
            raise BodyTooLarge
        pieces: list[bytes] = []
        size = 0
        while True:
            async with asyncio.timeout(self._gap_timeout):
                message = await receive()
            if message["type"] != "http.request":
                return None
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > max_bytes:
                raise BodyTooLarge
            if not message.get("more_body"):
                return b"".join(pieces)


def _refusal(status: int, error: str, message: str) -> JSONResponse:
    return JSONResponse(error_body(error, message), status, {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Receives the body first, as one piece, then whatever `receive` gives."""
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
