"""Signs in to a tool server as a client of its authorization server (OAuth client credentials, RFC 6749 4.4).

Discovery, scopes and the binding to an issuer come from `mcp`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import httpx2
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from bot.tools.config import ClientCredentials

SILENT = "its authorization server cannot be reached or does not answer: check oauth.issuer, and that it runs"
REFUSED = (
    "its authorization server refuses the client: check clientId, clientSecret and scope of oauth"
)
UNUSABLE = "its authorization server cannot be used: check that oauth.issuer is the one that the server names"
_NO_ENTRY = (401, 403)
_SILENCE = 10.0
"""Seconds without a byte after which an authorization server is given up."""


class ClientLogin(ClientCredentialsOAuthProvider):
    """Adds a token to each request, and gets a new one when there is none, or when the server no longer accepts it."""

    def __init__(
        self, url: str, credentials: ClientCredentials, note: Callable[[str | None], None]
    ) -> None:
        """`note`: called with the problem of signing in; None if there is none."""
        super().__init__(
            url,
            _TokenMemory(),
            credentials.client_id,
            credentials.client_secret,
            scope=credentials.scope,
            issuer=credentials.issuer,
        )
        self._scope = credentials.scope
        self._note = note

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Skips the package's lock while a token is available: it would make calls wait for one another."""
        token = self.context.current_tokens
        if token is not None and self.context.is_token_valid():
            request.headers["Authorization"] = f"Bearer {token.access_token}"
            response = yield request
            if response.status_code not in _NO_ENTRY:
                return
        flow = super().async_auth_flow(request)
        asked, status = request, 0
        try:
            asked = await anext(flow)
            while True:
                if asked is not request:
                    self._note(SILENT)
                    asked.extensions["timeout"] = httpx2.Timeout(_SILENCE).as_dict()
                response = yield asked
                if asked is not request or response.status_code not in _NO_ENTRY:
                    self._note(None)
                status = response.status_code
                asked = await flow.asend(response)
        except StopAsyncIteration:
            return
        except OAuthFlowError:
            is_refused = asked.method == "POST" and 400 <= status < 500
            self._note(REFUSED if is_refused else UNUSABLE)
            raise
        finally:
            await flow.aclose()

    async def _perform_authorization(self) -> httpx2.Request:
        """Uses the operator's scope instead of the server's, and sends the secret only to the expected issuer."""
        self.context.client_metadata.scope = self._scope or self.context.client_metadata.scope
        metadata, client = self.context.oauth_metadata, self.context.client_info
        methods = metadata and metadata.token_endpoint_auth_methods_supported
        if client is not None and methods and "client_secret_basic" not in methods:
            client.token_endpoint_auth_method = "client_secret_post"  # noqa: S105 - a method
        return await super()._perform_authorization()


class _TokenMemory:
    """Keeps a server's token as long as the connection: getting a new one costs one request."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        pass
