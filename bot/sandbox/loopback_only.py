"""Refuses requests that name other hosts: foreign pages and DNS rebinding."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class LoopbackOnly:
    """ASGI middleware: 403 unless `Host`, and `Origin` if present, name the loopback interface."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _is_local(scope):
            refusal = PlainTextResponse("The sandbox answers only requests from this machine.", 403)
            await (WebSocketClose(1008) if scope["type"] == "websocket" else refusal)(
                scope, receive, send
            )
            return
        await self._app(scope, receive, send)


def _is_local(scope: Scope) -> bool:
    headers = {
        name: value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"host", b"origin")
    }
    origin = headers.get(b"origin")
    return _hostname(f"//{headers.get(b'host', '')}") in LOOPBACK_HOSTS and (
        origin is None or _hostname(origin) in LOOPBACK_HOSTS
    )


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # unbalanced brackets
        return None
