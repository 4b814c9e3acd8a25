"""The pages by which a workspace installs the app (OAuth).

`INSTALL` links to Slack, where a user agrees. Slack redirects to `REDIRECT` with a code that can be exchanged once
for the workspace's token. The OAuth state is encrypted, so that any replica can check it, and also set as a cookie, so
that a link made in one browser is useless in another.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth import AuthorizeUrlGenerator, OAuthStateUtils
from slack_sdk.web.async_client import AsyncWebClient

from bot import english_strings
from bot.errors import StorageError
from bot.observability import get_logger
from storage.encryption import TokenCipher, WrongKey
from storage.installations import Installation, Installations

log = get_logger(__name__)

INSTALL = "/slack/install"
REDIRECT = "/slack/oauth_redirect"
STATE_TTL = 600
"""Seconds that a user has between the two pages."""
_STATE_PREFIX = "install:"
"""Begins the text of each state, so that no other encrypted secret can pass for a state."""

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """The app, as Slack knows it."""

    id: str
    secret: str
    scopes: frozenset[str]
    """The scopes that it requests."""


@dataclass(frozen=True, slots=True)
class _Page:
    body: str
    status: int = 200
    cookie: str = ""


class InstallPages:
    """An ASGI application for `INSTALL` and `REDIRECT`. `installed` is called with each new installation."""

    def __init__(
        self,
        app: OAuthClient,
        api_url: str,
        client: AsyncWebClient,
        installations: Installations,
        cipher: TokenCipher,
        installed: Callable[[Installation], None],
    ) -> None:
        self._app = app
        self._client = client
        self._installations = installations
        self._cipher = cipher
        self._installed = installed
        self._authorize_url = AuthorizeUrlGenerator(
            client_id=app.id,
            scopes=sorted(app.scopes),
            authorization_url=_authorization_url(api_url),
        )
        self._state_cookie = OAuthStateUtils(expiration_seconds=STATE_TTL)

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send
    ) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        cookies = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
        if scope["method"] not in ("GET", "HEAD"):
            page = _page(english_strings.INSTALL_BEGIN, 405)
        elif scope["path"] == INSTALL:
            page = self._install_page(query.get("team"))
        else:
            page = await self._redirect_page(query, cookies)
        await _send(page, send)

    def _install_page(self, team: str | None) -> _Page:
        state = self._cipher.encrypt(_STATE_PREFIX + secrets.token_urlsafe(16))
        address = self._authorize_url.generate(state, team)
        return _page(
            english_strings.INSTALL,
            link=(english_strings.INSTALL_LINK, address),
            cookie=self._state_cookie.build_set_cookie_for_new_state(state),
        )

    async def _redirect_page(self, query: dict[str, str], cookies: list[str]) -> _Page:
        forget = self._state_cookie.build_set_cookie_for_deletion()
        again = (english_strings.INSTALL_AGAIN, INSTALL)
        if declined := query.get("error"):
            return _page(
                english_strings.INSTALL_DECLINED.format(reason=declined), link=again, cookie=forget
            )
        state, code = query.get("state", ""), query.get("code", "")
        if (
            not code
            or not self._state_cookie.is_valid_browser(state, {"cookie": cookies})
            or not self._is_own_state(state)
        ):
            return _page(english_strings.INSTALL_STALE, 400, again)
        try:
            installed, link = await self._exchange(code)
            await self._installations.save(installed)
        except SlackApiError as error:
            reason = _reason(error)
            log.warning("not_installed", reason=reason)
            return _page(english_strings.INSTALL_REFUSED.format(reason=reason), 400, again, forget)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("not_installed", reason=type(error).__name__)
            return _page(english_strings.INSTALL_UNREACHED, 502, again, forget)
        except StorageError as error:
            log.error("not_installed", reason=str(error))
            return _page(english_strings.INSTALL_NOT_KEPT, 503, again, forget)
        log.info("installed", team=installed.team, enterprise=installed.enterprise)
        self._installed(installed)
        return _page(
            english_strings.INSTALL_DONE, link=(english_strings.INSTALL_OPEN, link), cookie=forget
        )

    def _is_own_state(self, state: str) -> bool:
        """Whether a replica of this bot issued the state, and recently enough."""
        try:
            return self._cipher.decrypt(state, max_age=STATE_TTL).startswith(_STATE_PREFIX)
        except WrongKey:
            return False

    async def _exchange(self, code: str) -> tuple[Installation, str]:
        """Exchanges the code; returns the installation and a URL that opens the app in Slack.

        Raises SlackApiError, aiohttp.ClientError, TimeoutError, OSError.
        """
        asked = {"client_id": self._app.id, "client_secret": self._app.secret, "code": code}
        granted = await self._client.api_call("oauth.v2.access", data=asked)
        token = str(granted["access_token"])
        if granted.get("refresh_token"):
            log.error(
                "token_rotation_enabled",
                advice="switch it off in the app: its token ends in 12 hours",
            )
        who = await self._client.auth_test(token=token)
        org_wide = bool(granted.get("is_enterprise_install"))
        team = "" if org_wide else str((granted.get("team") or {})["id"])
        installed = Installation(
            enterprise=str((granted.get("enterprise") or {}).get("id") or ""),
            team=team,
            bot_user=str(granted.get("bot_user_id") or who["user_id"]),
            bot_token=token,
            bot_id=who.get("bot_id"),
            url=str(who.get("url") or ""),
            scopes=str(granted.get("scope") or ""),
            installed_by=(granted.get("authed_user") or {}).get("id"),
        )
        app = quote(str(granted.get("app_id") or ""))
        return (
            installed,
            f"slack://app?team={quote(team)}&id={app}" if team and app else "slack://open",
        )


def _authorization_url(api_url: str) -> str:
    """The page where people agree, on the same server as the Web API."""
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}/oauth/v2/authorize"


def _reason(error: SlackApiError) -> str:
    data = getattr(error.response, "data", None)
    return str(data.get("error")) if isinstance(data, dict) else "no_answer"


def _page(
    text: str, status: int = 200, link: tuple[str, str] | None = None, cookie: str = ""
) -> _Page:
    """A page with one sentence and at most one link, given as (label, URL)."""
    below = f'<p><a href="{html.escape(link[1])}">{html.escape(link[0])}</a></p>' if link else ""
    return _Page(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<title>Bobbin</title><style>body{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:15vh auto;"
        f"padding:0 1em}}</style><h1>Bobbin</h1><p>{html.escape(text)}</p>{below}</html>",
        status,
        cookie,
    )


async def _send(page: _Page, send: Send) -> None:
    headers = {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",  # the URL contains the code
        **({"set-cookie": page.cookie} if page.cookie else {}),
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": page.status, "headers": raw})
    await send({"type": "http.response.body", "body": page.body.encode()})
