"""Many workspaces: the pages that install the app, and the keeping of what Slack hands out there."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.installation_store.models.bot import Bot
from slack_sdk.oauth.installation_store.models.installation import Installation
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import StorageError
from bot.observability import get_logger
from storage.installations import Installations, Installed
from storage.sealing import Seal

log = get_logger(__name__)

INSTALL = "/slack/install"
REDIRECT = "/slack/oauth_redirect"
STATE_LIFE = 600
"""Seconds that a person has between the two pages."""

Message = MutableMapping[str, Any]


class SealedStates(AsyncOAuthStateStore):
    """States that any replica can check: sealed, good for ten minutes, and bound to the browser by Bolt's cookie."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    @property
    def logger(self) -> logging.Logger:
        return logging.getLogger("slack_sdk.oauth")

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        return self._seal.seal(secrets.token_urlsafe(16))

    async def async_consume(self, state: str) -> bool:
        try:
            self._seal.open(state, max_age=STATE_LIFE)
        except StorageError:
            return False
        return True


class KeptInstallations(AsyncInstallationStore):
    """Slack's installations in our database, where tokens are sealed. Only the bot's own are kept."""

    def __init__(self, installations: Installations, installed: Callable[[Installed], None]) -> None:
        self._installations, self._installed = installations, installed

    @property
    def logger(self) -> logging.Logger:
        return logging.getLogger("slack_sdk.oauth")

    async def async_save(self, installation: Installation) -> None:
        org_wide = bool(installation.is_enterprise_install)
        kept = Installed(
            enterprise=installation.enterprise_id or "",
            team="" if org_wide else installation.team_id or "",
            bot_user=installation.bot_user_id or "",
            bot_token=installation.bot_token or "",
            bot_id=installation.bot_id,
            scopes=",".join(installation.bot_scopes or ()),
            installed_by=installation.user_id,
        )
        await self._installations.save(kept)
        log.info("installed", team=kept.team, enterprise=kept.enterprise)
        self._installed(kept)

    async def async_save_bot(self, bot: Bot) -> None:
        """Saved with the installation."""


class InstallPages:
    """An ASGI application for `INSTALL` and `REDIRECT`."""

    def __init__(
        self,
        *,
        client: AsyncWebClient,
        api_url: str,
        client_id: str,
        client_secret: str,
        scopes: frozenset[str],
        store: KeptInstallations,
        states: SealedStates,
    ) -> None:
        self._flow = AsyncOAuthFlow(
            client=client,
            logger=logging.getLogger("slack_bolt.oauth"),
            settings=AsyncOAuthSettings(
                client_id=client_id,
                client_secret=client_secret,
                scopes=sorted(scopes),
                user_scopes=[],
                install_path=INSTALL,
                redirect_uri_path=REDIRECT,
                authorization_url=_authorization_url(api_url),
                installation_store=store,
                installation_store_bot_only=False,
                state_store=states,
                state_expiration_seconds=STATE_LIFE,
                logger=logging.getLogger("slack_bolt.oauth"),
            ),
        )

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        headers: dict[str, str | Sequence[str]] = {
            name.decode("latin-1"): [value.decode("latin-1")] for name, value in scope["headers"]
        }
        query: dict[str, Sequence[str]] = dict(parse_qs(scope["query_string"].decode("latin-1")))
        request = AsyncBoltRequest(body="", query=query, headers=headers)
        if scope["path"] == INSTALL:
            response = await self._flow.handle_installation(request)
        else:
            response = await self._flow.handle_callback(request)
        await _send(response, send)


def _authorization_url(api_url: str) -> str:
    """The page where people agree: beside the Web API, wherever that is."""
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}/oauth/v2/authorize"


async def _send(response: BoltResponse, send: Callable[[Message], Awaitable[None]]) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, values in response.headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": (response.body or "").encode()})
