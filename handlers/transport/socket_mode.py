"""The Socket Mode connection, with a watchdog that replaces a connection that has silently died."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import SettingsError
from bot.network import DIRECT, Network
from bot.observability import get_logger
from handlers.client.diagnostics import app_token_refusal
from handlers.transport.bolt_app import SharedApp

log = get_logger(__name__)

PING_INTERVAL = 10.0
"""Seconds between two pings on the socket.

A ping that is not answered within half of that ends the connection, and with it what is being acknowledged; so a
machine that stalls for a moment must not look like a dead one."""
WATCH_INTERVAL = 1.0
NEW_ADDRESS_DELAY = 3.0
"""Seconds without a connection after which the client must ask for a new address. The client itself would retry its
last address for ever, although an address is valid only for moments.
"""
REPLACE_DELAY = 25.0
"""Seconds without a connection after which the whole client is replaced."""
QUIET_PERIOD = 0.05
"""Seconds without a request before a connection is closed: if it were closed during an acknowledgement, Slack would
redeliver the event a minute later. Slack also echoes the bot's own last messages at that time.
"""
MAX_QUIET_WAIT = 1.0
"""The longest that closing waits for such a quiet period, in seconds."""
CLOSE_TIMEOUT = 3.0
MAX_CONNECTION_AGE = 2 * 3600.0
"""Seconds after which a connection is renewed. Slack renews it about hourly; a connection that Slack has forgotten may
look alive and deliver nothing.
"""


class SocketModeTransport:
    """Receives Slack's requests over Socket Mode."""

    def __init__(
        self,
        app: SharedApp,
        app_token: str,
        client: AsyncWebClient,
        network: Network = DIRECT,
    ) -> None:
        self._app = app
        self._app_token = app_token
        self._client = client
        self._network = network
        self._handler: AsyncSocketModeHandler | None = None
        self._connected_at = self._created_at = 0.0
        """When a connection was last seen, and when the present client was made, by the event loop's clock."""
        self._diagnosed_at = 0.0
        self._refusal: str | None = None
        """What to do about Slack's refusal of the app-level token; None while Slack has not refused it."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps a connection while this is open."""
        watchdog = asyncio.create_task(self._watch(), name="socket")
        try:
            yield
        finally:
            watchdog.cancel()
            await asyncio.gather(watchdog, return_exceptions=True)
            await self._close()

    async def fault(self) -> str | None:
        """Why no events arrive, or why they are not acknowledged."""
        return self._app.fault() if await self.connected() else "the socket is not connected"

    async def connected(self) -> bool:
        return self._handler is not None and await self._handler.client.is_connected()

    async def until_connected(self, seconds: float = 30.0) -> bool:
        """Waits up to `seconds` for the first connection. Returns whether there is one.

        Raises SettingsError when Slack refuses the app-level token.
        """
        deadline = _now() + seconds
        while _now() < deadline:
            if await self.connected():
                return True
            if self._refusal is not None:
                raise SettingsError(f"SLACK_APP_TOKEN is refused: {self._refusal}")
            await asyncio.sleep(0.02)
        return False

    async def _watch(self) -> None:
        connecting: asyncio.Task[None] | None = None
        while True:
            try:
                if self._handler is None:
                    connecting = await self._open()
                await asyncio.sleep(WATCH_INTERVAL)
                await self._check(connecting)
            except asyncio.CancelledError:
                if connecting is not None:
                    connecting.cancel()
                raise
            except Exception:
                log.exception("socket_watchdog_failed")
                await asyncio.sleep(WATCH_INTERVAL)

    async def _open(self) -> asyncio.Task[None]:
        handler = AsyncSocketModeHandler(
            self._app,
            self._app_token,
            web_client=self._client,
            ping_interval=PING_INTERVAL,
            logger=logging.getLogger("slack_sdk.socket_mode"),
        )
        # The client has created its own session, and has taken a proxy from the environment.
        await handler.client.aiohttp_client_session.close()
        handler.client.aiohttp_client_session = aiohttp.ClientSession(
            connector=self._network.connector()
        )
        handler.client.proxy = None
        self._handler = handler
        self._connected_at = self._created_at = _now()
        return asyncio.create_task(handler.connect_async(), name="socket connecting")  # type: ignore[no-untyped-call]

    async def _check(self, connecting: asyncio.Task[None] | None) -> None:
        assert self._handler is not None
        now = _now()
        if await self._handler.client.is_connected():
            self._connected_at = now
            self._refusal = None
            if now - self._created_at > MAX_CONNECTION_AGE:
                log.info("socket_renewed", reason="age")
                await self._close()
        elif now - self._connected_at > REPLACE_DELAY:
            log.warning("socket_replaced", seconds=round(now - self._connected_at))
            if connecting is not None:
                connecting.cancel()
            await self._close()
        elif now - self._connected_at > NEW_ADDRESS_DELAY:
            self._handler.client.wss_uri = None
            if now - self._diagnosed_at > REPLACE_DELAY:
                self._diagnosed_at = now
                await self._diagnose()

    async def _diagnose(self) -> None:
        """Finds out whether Slack rejects the token: the client itself retries for ever, whatever the reason."""
        refusal = await app_token_refusal(self._client, self._app_token)
        if refusal is not None and refusal != self._refusal:
            log.error("app_token_refused", advice=refusal)
        self._refusal = refusal

    async def _close(self) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            await self._wait_until_quiet()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(handler.close_async(), timeout=CLOSE_TIMEOUT)  # type: ignore[no-untyped-call]
            await handler.client.aiohttp_client_session.close()

    async def _wait_until_quiet(self) -> None:
        deadline = time.monotonic() + MAX_QUIET_WAIT
        while self._was_busy_lately() and time.monotonic() < deadline:  # noqa: ASYNC110 - no event signals that nothing arrives
            await asyncio.sleep(0.01)

    def _was_busy_lately(self) -> bool:
        idle = time.monotonic() - self._app.last_request_at
        return self._app.requests_in_progress > 0 or idle < QUIET_PERIOD


def _now() -> float:
    return asyncio.get_running_loop().time()
