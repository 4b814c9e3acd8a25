"""One Slack with two workspaces, and one bot that is installed in both, in one, or in their organisation.

Both workspaces have the same people and channels with the same ids, so that data not separated by workspace gets mixed
up. `SLACK_API_URL` names the gateway, which knows each token's workspace and exchanges codes for tokens.
"""

from __future__ import annotations

import copy
import html
import io
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
from pydantic import SecretStr
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from bot.sandbox.events.http_delivery import HttpDelivery, RequestUrls
from bot.sandbox.limits import Limits
from bot.sandbox.models.server import create_models_app
from bot.sandbox.server import Sandbox
from bot.timing import Timing
from handlers.rate_limits.slack_rates import RATES, Rate
from tests.handlers.world import World, installation
from tests.local_http import local_client

CHATS_OF = "SELECT team, channel, thread, owner FROM chats ORDER BY team"
CLIENT, SECRET = "1.2", "the-secret-of-the-client"
KEY = "a-key-that-seals-the-tokens"
_PLACES = ("channel", "channel_id", "user", "user_id")


@dataclass
class Clock:
    """The time; while it is stopped, messages get the same ids in both workspaces."""

    stopped_at: float | None = None

    def __call__(self) -> float:
        return time.time() if self.stopped_at is None else self.stopped_at


class Gateway:
    """Slack's Web API for all workspaces. `asked` lists the calls: method and token."""

    def __init__(self) -> None:
        self.workspaces: list[Sandbox] = []
        self.codes: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, list[Sandbox]] = {}
        self.ended: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def agree(self, *workspaces: Sandbox, enterprise: str | None = None) -> str:
        """Somebody agrees to the installation, in a workspace or for an organisation; gives the code."""
        code, token = secrets.token_hex(8), f"xoxb-{secrets.token_hex(12)}"
        self.tokens[token] = list(workspaces)
        first = workspaces[0].workspace
        self.codes[code] = {
            "ok": True,
            "access_token": token,
            "token_type": "bot",
            "scope": ",".join(sorted(installation()["scopes"])),
            "bot_user_id": first.bot.id,
            "app_id": first.app_id,
            "team": None if enterprise else {"id": first.team_id, "name": first.team_name},
            "enterprise": {"id": enterprise, "name": "An organisation"} if enterprise else None,
            "is_enterprise_install": enterprise is not None,
            "authed_user": {"id": "U0ALICE"},
        }
        return code

    def end(self, *workspaces: Sandbox) -> None:
        """The tokens of these workspaces are worth nothing any more."""
        self.ended |= {
            token
            for token, served in self.tokens.items()
            if set(map(id, served)) & set(map(id, workspaces))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, body = scope["path"].rsplit("/", 1)[-1], await _body(receive)
        given = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        self.asked.append((method, given))
        if method == "oauth.v2.access":
            answer = self._redeem(dict(parse_qsl(body.decode())))
            await JSONResponse(answer)(scope, receive, send)
        elif given in self.ended or not (served := self._served(given)):
            error = "account_inactive" if given in self.ended else "invalid_auth"
            await JSONResponse({"ok": False, "error": error})(scope, receive, send)
        else:
            workspace = _meant(served, scope, body)
            own = workspace.app_token if given.startswith("xapp-") else workspace.bot_token
            await workspace.web_api(_with_token(scope, own), _again(body, receive), send)

    def _served(self, token: str) -> list[Sandbox]:
        socket = [each for each in self.workspaces if each.app_token == token]
        return socket or self.tokens.get(token, [])

    def _redeem(self, form: dict[str, str]) -> dict[str, Any]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return {"ok": False, "error": "bad_client_secret"}
        return self.codes.pop(form.get("code", ""), None) or {"ok": False, "error": "invalid_code"}


class TwoWorkspaces(World):
    """A world whose bot serves all workspaces that install it. `other` is the same world, seen from the second one."""

    def __init__(
        self,
        folder: Path,
        log: io.StringIO,
        *,
        socket: bool = False,
        enterprise: str | None = None,
        limits: Limits | None = None,
        timing: Timing | None = None,
        rates: Mapping[str, Rate] = RATES,
        **settings: Any,
    ) -> None:
        super().__init__(folder, log, limits=limits, timing=timing, rates=rates)
        self.clock, self.gateway = Clock(), Gateway()
        events = None if socket else "http://127.0.0.1:9/slack/events"  # until the bot is there
        options: dict[str, Any] = {
            "limits": self.slack.limits,
            "clock": self.clock,
            **installation(),
            "enterprise": enterprise,
        }
        mounts = [
            Mount("/models/v1", create_models_app(self.models)),
            Mount("/all/api", self.gateway),
        ]
        self.slack = Sandbox(**options, mounts=mounts, request_url=events, team_id="T0ONE")
        self.second = Sandbox(**options, team_id="T0TWO", beside=self.slack)
        self.gateway.workspaces += [self.slack, self.second]
        self.other = copy.copy(self)
        self.other.slack = self.second
        self._more = {
            "slack_bot_token": None,
            "slack_app_token": SecretStr(self.slack.app_token) if socket else None,
            "slack_signing_secret": None if socket else SecretStr(self.slack.signing_secret),
            "slack_client_id": CLIENT,
            "slack_client_secret": SecretStr(SECRET),
            "bobbin_secret_key": SecretStr(KEY),
            "port": 0,
            **settings,
        }

    async def __aenter__(self) -> Self:
        await self.second.start()
        try:
            return await super().__aenter__()
        except BaseException:
            await self.second.stop()
            raise

    async def start_bot(self, **settings: Any) -> None:
        await super().start_bot(**{"slack_api_url": f"{self.slack.url}/all/api/", **settings})
        self.route_to(self.url)

    def route_to(self, url: str) -> None:
        """From now on, the load balancer sends everything that comes from Slack over HTTP here."""
        route = self.slack.dispatcher.transport
        if isinstance(route, HttpDelivery):
            route.urls = RequestUrls(f"{url}/slack/events")

    async def __aexit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                await self.until(
                    lambda: self.second.dispatcher.pending() == 0, "every event is acknowledged"
                )
            self.second.subscriptions.event_types = frozenset()
            await super().__aexit__(kind, *error)
        finally:
            await self.second.stop()
        if kind is None:
            self.other.judge(self.other.said_by_models())

    @property
    def url(self) -> str:
        assert self.bot is not None
        return self.bot.url

    async def install(self, *workspaces: Sandbox, enterprise: str | None = None) -> httpx.Response:
        """Somebody goes from the first page to Slack, agrees, and comes back."""
        async with Browser(self.url) as browser:
            await browser.begin()
            return await browser.come_back(self.gateway.agree(*workspaces, enterprise=enterprise))

    async def uninstall(self, workspace: Sandbox, *kinds: str) -> None:
        """The app is removed; Slack sends these events."""
        self.gateway.end(workspace)
        for kind in kinds or ("app_uninstalled", "tokens_revoked"):
            tokens = (
                {"tokens": {"bot": [workspace.bot_user.id]}} if kind == "tokens_revoked" else {}
            )
            workspace.subscriptions.deliver({"type": kind, **tokens})
        await self.until(lambda: workspace.dispatcher.pending() == 0, "the end is acknowledged")

    def calls(self, method: str) -> int:
        return sum(asked == method for asked, _ in self.gateway.asked)


class Browser:
    """One person's browser. Its cookies are kept by hand, because they are for https only."""

    def __init__(self, url: str) -> None:
        self.http = local_client(base_url=url)
        self.cookie = ""
        self.state = ""
        self.agree_at = ""

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def begin(self, query: str = "") -> httpx.Response:
        page = await self.http.get(f"/slack/install{query}")
        assert page.status_code == 200
        found = re.search(r'href="([^"]+)"', page.text)
        assert found
        self.agree_at = html.unescape(found[1])
        self.state = parse_qs(urlsplit(self.agree_at).query)["state"][0]
        self.cookie = page.headers["set-cookie"].partition(";")[0]
        return page

    async def come_back(self, code: str | None, **changed: str | None) -> httpx.Response:
        """Slack sends the browser to the second page."""
        query = {"code": code, "state": self.state, **changed}
        headers = {"cookie": self.cookie} if self.cookie else {}
        given = {name: value for name, value in query.items() if value is not None}
        return await self.http.get("/slack/oauth_redirect", params=given, headers=headers)


def _meant(served: list[Sandbox], scope: Scope, body: bytes) -> Sandbox:
    """A token of an organisation is good in all its workspaces; ids of channels and people are never the same there."""
    if len(served) == 1:
        return served[0]
    text = body.decode() or scope["query_string"].decode()
    form: dict[str, Any] = json.loads(text) if text.startswith("{") else dict(parse_qsl(text))
    ids = {form.get(name) for name in _PLACES}
    known = (
        each
        for each in served
        if ids & (each.workspace.channels.keys() | each.workspace.users.keys())
    )
    return next(known, served[0])


async def _body(receive: Receive) -> bytes:
    pieces: bytes = b""
    while True:
        message = await receive()
        pieces += message.get("body", b"")
        if not message.get("more_body"):
            return pieces


def _again(body: bytes, then: Receive) -> Receive:
    """Gives the body that was read already, and afterwards what really comes, such as the end of the connection."""
    pieces = [body]

    async def receive() -> Message:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(), "more_body": False}
        return await then()

    return receive


def _with_token(scope: Scope, token: str) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
    return {**scope, "headers": [*headers, (b"authorization", f"Bearer {token}".encode())]}


def allow_events_of_unknown_workspaces(workspaces: TwoWorkspaces) -> None:
    """Bolt treats an event from a workspace in which the app is not installed as an error."""
    workspaces.forgive_logger("slack_bolt.AsyncMultiTeamsAuthorization")
