"""An authorization server for tests: it issues tokens to one client, and knows which of them are valid."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from mcp.server.auth.provider import AccessToken

CLIENT, SECRET = "bobbin", "s3cret/of a client"


@dataclass
class AuthorizationServer:
    """Its state may be changed while it runs."""

    lifetime: int = 3600
    """Seconds that it says of a token."""
    methods: tuple[str, ...] = ("client_secret_basic",)
    hangs: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    """The forms of requests for a token."""
    valid: set[str] = field(default_factory=set)
    """Tokens that count."""
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AuthorizationServer]:
        app = web.Application()
        app.router.add_get("/.well-known/oauth-authorization-server", self._metadata)
        app.router.add_post("/token", self._token)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            assert site._server is not None
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
            self.url = f"http://127.0.0.1:{port}"
            yield self
        finally:
            await runner.cleanup()

    async def verify_token(self, token: str) -> AccessToken | None:
        """What a tool server asks, by the interface of `mcp`."""
        if token not in self.valid:
            return None
        return AccessToken(token=token, client_id=CLIENT, scopes=["tools"])

    async def _metadata(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "token_endpoint_auth_methods_supported": list(self.methods),
                "scopes_supported": ["all"],
            }
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        if self.hangs:
            await asyncio.sleep(600)
        basic = request.headers.get("Authorization", "").removeprefix("Basic ")
        given = base64.b64decode(basic).decode()
        if "client_secret_post" in self.methods:
            given = f"{form.get('client_id')}:{form.get('client_secret')}"
        if given not in (f"{CLIENT}:{SECRET}", f"{CLIENT}:s3cret%2Fof%20a%20client"):
            return web.json_response({"error": "invalid_client"}, status=400)
        token = f"token-{len(self.asked)}"
        self.valid.add(token)
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        )
