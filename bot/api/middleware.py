"""What stands before every request: a door that may still be closed, and a limit of what may be carried in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.api.errors import body

LARGEST_BODY = 40_000_000
"""Bytes: five images of five megabytes in base64, and the texts beside them."""
LARGEST_EVENT = 1_000_000
"""Bytes that Slack may send us at once."""
NEXT_WITHIN = 20.0
"""Seconds until the next piece of a body must be there."""
WHOLE_WITHIN = 120.0
"""Seconds until all of it must be."""


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
        body("Unavailable", "Bobbin is starting or ending. Try again in a moment."), 503
    )


class TooLarge(Exception):
    pass


class BodyLimit:
    """Reads each body before anybody works on it: at most so large, and not for ever."""

    def __init__(self, app: ASGIApp, special: Mapping[str, int], most: int = LARGEST_BODY) -> None:
        self._app, self._special, self._most = app, special, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        most = self._special.get(scope["path"], self._most)
        try:
            async with asyncio.timeout(WHOLE_WITHIN):
                whole = await _read(scope, receive, most)
        except TooLarge:
            refusal = body("Content too large", f"A request may carry at most {most:,} bytes.")
            await JSONResponse(refusal, 413, {"Connection": "close"})(scope, receive, send)
            return
        except TimeoutError:
            refusal = body("Request timeout", "The rest of the request did not come in time.")
            await JSONResponse(refusal, 408, {"Connection": "close"})(scope, receive, send)
            return
        if whole is not None:
            await self._app(scope, _again(whole, receive), send)


async def _read(scope: Scope, receive: Receive, most: int) -> bytes | None:
    """The whole body; None when the client has gone. Raises TooLarge, TimeoutError."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > most:
        raise TooLarge
    pieces, size = [], 0
    while True:
        async with asyncio.timeout(NEXT_WITHIN):
            message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > most:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(pieces)


def _again(whole: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": whole, "more_body": False}

    return replay
