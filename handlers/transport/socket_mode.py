"""The ways in from Slack: the Bolt application, and the Socket Mode connection with a watchdog."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import StorageError
from bot.observability import get_logger
from handlers.client.fencing import gate
from handlers.client.workspaces import WorkspaceResolver
from handlers.listeners import register_all
from handlers.listeners.context import ListenerContext
from handlers.transport.bolt_app import SharedApp

log = get_logger(__name__)

PING = 10.0
"""Seconds between two pings on the socket; one that is not answered within half of that ends the connection, so a
machine that stalls for a moment must not look like a dead one: what is being acknowledged would be lost with it."""
LOOK = 1.0
NUDGE_AFTER = 3.0
"""Seconds without a connection after which the client must ask for a new address: left alone it tries the one it
was last given for ever, and an address lives only for moments."""
REPLACE_AFTER = 25.0
"""Seconds without a connection after which the whole client is replaced."""
QUIET, QUIET_AT_MOST = 0.05, 1.0
"""Seconds without anything heard after which a connection is closed, and the most that is waited for them: what is
closed in the middle of an acknowledgement Slack tells again, a minute later. Our own last words echo just then."""
OLDEST = 2 * 3600.0
"""Seconds that one connection is trusted. Slack renews it about hourly; one that it forgot may look alive and bring
nothing."""


def new_client(token: str | None, api_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A Web API client on the shared session that repeats nothing by itself: repeating is decided by meaning."""
    return AsyncWebClient(
        token=token, base_url=api_url, session=session, retry_handlers=[], timeout=30
    )


def new_session() -> aiohttp.ClientSession:
    """The one session for all calls to Slack: without it each call would open a connection of its own."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=10, connect=5),
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=64, keepalive_timeout=60),
        trace_configs=[gate()],
    )


def build_app(
    api_url: str,
    workspaces: WorkspaceResolver,
    ctx: ListenerContext,
    signing_secret: str | None = None,
) -> SharedApp:
    """The Bolt application with all listeners. Nothing is read from the environment.

    With a `signing_secret` each request must be signed with it and younger than five minutes; without one nothing but
    a socket may lead here. `process_before_response`: Slack gets its acknowledgement when the listener has stored what
    it was told.
    """

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        return await workspaces.authorize(enterprise_id, team_id)

    with _environment_hidden():
        app = SharedApp(
            name="bobbin",  # else it reads the source of every function that led here, to name itself by the last
            client=AsyncWebClient(
                base_url=api_url, retry_handlers=[]
            ),  # listeners use `Slack`, not this one
            authorize=authorize,  # type: ignore[arg-type]  # None is how Bolt is told of a workspace without the app
            process_before_response=True,
            attaching_conversation_kwargs_enabled=False,
            logger=logging.getLogger("slack_bolt"),
            signing_secret=signing_secret,
            request_verification_enabled=signing_secret is not None,
        )
    register_all(app, ctx)

    @app.error
    async def on_error(error: Exception, body: dict[str, Any]) -> None:
        """Logs, and returns nothing: a returned response would acknowledge what was not stored."""
        kind = (body.get("event") or {}).get("type") or body.get("type") or body.get("command")
        if isinstance(error, StorageError):
            log.warning("not_stored", kind=kind, reason=str(error))
        else:
            log.error("listener_failed", kind=kind, exc_info=error)

    return app


@contextmanager
def _environment_hidden() -> Iterator[None]:
    """Bolt takes a token there for its own, and a client's id for the wish to keep installations in files."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


class SocketModeTransport:
    """Socket Mode that does not die silently."""

    def __init__(self, app: SharedApp, app_token: str, client: AsyncWebClient) -> None:
        self._app, self._app_token, self._client = app, app_token, client
        self._handler: AsyncSocketModeHandler | None = None
        self._seen = time.monotonic()
        self._made = time.monotonic()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected, and kept so, while this is open."""
        watch = asyncio.create_task(self._watch(), name="socket")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await self._close()

    async def connected(self) -> bool:
        return self._handler is not None and await self._handler.client.is_connected()

    async def until_connected(self, seconds: float = 30.0) -> bool:
        """Waits for the first connection, at most so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if await self.connected():
                return True
            await asyncio.sleep(0.02)
        return False

    async def _watch(self) -> None:
        connecting: asyncio.Task[None] | None = None
        while True:
            try:
                if self._handler is None:
                    connecting = self._open()
                await asyncio.sleep(LOOK)
                await self._look_after(connecting)
            except asyncio.CancelledError:
                if connecting is not None:
                    connecting.cancel()
                raise
            except Exception:
                log.exception("socket_watchdog_failed")
                await asyncio.sleep(LOOK)

    def _open(self) -> asyncio.Task[None]:
        self._handler = AsyncSocketModeHandler(
            self._app,
            self._app_token,
            web_client=self._client,
            ping_interval=PING,
            logger=logging.getLogger("slack_sdk.socket_mode"),
        )
        self._seen = self._made = time.monotonic()
        return asyncio.create_task(self._handler.connect_async(), name="socket connecting")  # type: ignore[no-untyped-call]

    async def _look_after(self, connecting: asyncio.Task[None] | None) -> None:
        assert self._handler is not None
        now = time.monotonic()
        if await self._handler.client.is_connected():
            self._seen = now
            if now - self._made > OLDEST:
                log.info("socket_renewed", reason="age")
                await self._close()
        elif now - self._seen > REPLACE_AFTER:
            log.warning("socket_replaced", seconds=round(now - self._seen))
            if connecting is not None:
                connecting.cancel()
            await self._close()
        elif now - self._seen > NUDGE_AFTER:
            self._handler.client.wss_uri = None

    async def _close(self) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            await self._until_quiet()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(handler.close_async(), timeout=3)  # type: ignore[no-untyped-call]
            await handler.client.aiohttp_client_session.close()

    async def _until_quiet(self) -> None:
        deadline = time.monotonic() + QUIET_AT_MOST
        while self._heard_lately() and time.monotonic() < deadline:  # noqa: ASYNC110 - that nothing comes nobody tells
            await asyncio.sleep(0.01)

    def _heard_lately(self) -> bool:
        return self._app.handling > 0 or time.monotonic() - self._app.handled_at < QUIET
