"""ASGI wrappers: what is served during startup, variants of addresses, and a limit on bodies."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.api.bodies import BodyReader, WholeBody, replay
from bot.api.errors import ApiError, error_body, to_response
from bot.api.upload_limits import UploadLimits
from bot.runtime.memory import MemoryBudget, MemoryReservation

TRY_AGAIN_LATER = 1013
"""The code with which a WebSocket is closed while the application is not open."""
MAX_SLACK_BODY_BYTES = 1_000_000
"""Of the body of a request from Slack."""


class LazyApp:
    """An application that is created at its first request, because that takes as long as the rest of startup."""

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
        elif scope["type"] == "websocket":  # accepted, since browsers learn no other close code
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER})


def _alive() -> JSONResponse:
    return JSONResponse({"alive": True})


def _unavailable() -> JSONResponse:
    return JSONResponse(
        error_body("Unavailable", "Bobbin is starting or ending. Try again in a moment."), 503
    )


class PathNormalizer:
    """Serves an address with a trailing slash like the one without, and HEAD like GET.

    A redirect would instead name the address with the scheme that a proxy uses, which may not be the client's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        if scope.get("method") == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await self._app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if "body" in message else message)

    return send_head


class BodyLimit:
    """Limits the size of the body that an application reads, and the time for it. Nothing is read before the
    application asks.
    """

    def __init__(
        self, app: ASGIApp, *, memory: MemoryBudget, upload_limits: UploadLimits, most: int
    ) -> None:
        self._app = app
        self._memory = memory
        self._upload_limits = upload_limits
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._memory.reserve(scope["path"]) as reservation:
            await self._serve(scope, receive, send, reservation)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, reservation: MemoryReservation
    ) -> None:
        body: Receive | None = None

        async def limited() -> Message:
            nonlocal body
            if body is None:
                read = WholeBody()
                reader = BodyReader(scope, receive, self._upload_limits, self._most)
                await reader.read_into(read, reservation)
                body = replay(read.whole(), receive)
            return await body()

        try:
            await self._app(scope, limited, send)
        except ClientDisconnect:
            pass
        except ApiError as error:
            await to_response(error)(scope, receive, send)
