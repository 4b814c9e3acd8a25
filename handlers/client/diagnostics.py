"""Checks of Slack's credentials for `bobbin doctor`, with what to do when one is wrong."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import cast

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.network import Network
from bot.network.failures import explain
from handlers.client.http_session import new_session, new_web_client

_CALL_TIMEOUT = 10
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `message` gives details, or what to do when it is not ok."""

    name: str
    ok: bool
    message: str


MAX_CLOCK_DIFFERENCE = 120.0
"""Seconds. Signatures are refused at five minutes, and clocks drift."""
NOT_SLACK = "what answers is not Slack (a proxy's page?), or Slack is down: check SLACK_API_URL and the network's proxy"
_NOT_SLACK = "what answers at {url} is not Slack (a proxy's page?); check SLACK_API_URL and the network's proxy"
_NO_CONVERSATION = "D0000000000"
_NO_AGENT_VIEW = (
    "the Slack app declares none, so it has no pane and no suggested prompts: "
    "paste the manifest again (bobbin manifest)"
)
_WITHOUT_OPTIONAL = (
    "all granted, except the optional {}: pictures that models make are kept but not shown, models that only draw are "
    "not offered, and chats are exported as text"
)
_APP_OF_TOKEN = re.compile(r"xapp-\d+-(A[A-Z0-9]+)-")
_OTHER_APP = (
    "is of the Slack app {}, and SLACK_BOT_TOKEN of {}: copy both from the same app (Basic Information, App-Level "
    "Tokens; OAuth & Permissions)"
)
_REMEDIES = {
    "invalid_auth": "Slack does not know this token; copy it again",
    "not_authed": "Slack does not know this token; copy it again",
    "account_inactive": "the app was removed from the workspace; install it again and copy the new token",
    "token_revoked": "the token was revoked; install the app again and copy the new one",
    "token_expired": "the token has expired; install the app again and copy the new one",
    "not_allowed_token_type": "this is a token of another kind; copy the right one",
    "missing_scope": "the token lacks a scope; make it again with connections:write",
    "invalid_client_id": "Slack does not know this client id; copy it from Basic Information",
    "bad_client_secret": "the secret does not belong to this client id; copy it from Basic Information",
    "ratelimited": "Slack is busy with this app; try again in a minute",
}


def remedy(code: str) -> str | None:
    """How to fix an error with which Slack rejects a token or an app; None for any other error."""
    return None if code == "ratelimited" else _REMEDIES.get(code)


async def app_token_refusal(client: AsyncWebClient, token: str) -> str | None:
    """How to fix Slack's rejection of the app-level token; None if Slack accepts it or can't be asked now."""
    try:
        async with asyncio.timeout(_CALL_TIMEOUT):
            await client.apps_connections_open(app_token=token)
    except SlackApiError as error:
        return remedy(_code(error) or "")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
    return None


@asynccontextmanager
async def slack_checks(api_url: str, network: Network) -> AsyncIterator[SlackChecks]:
    """The checks against one Slack, with the connections they need."""
    async with new_session(network=network) as session:
        yield SlackChecks(api_url, session)


@dataclass(frozen=True, slots=True)
class SlackChecks:
    """Checks the settings about Slack."""

    api_url: str
    session: aiohttp.ClientSession

    async def bot_token(
        self, token: str, wanted: Iterable[str], optional: Iterable[str] = ()
    ) -> list[Finding]:
        """Whether the bot token works and has all the `wanted` scopes, and which of the `optional` ones are missing."""
        answer = await self._ask("SLACK_BOT_TOKEN", self._client(token).auth_test)
        if isinstance(answer, Finding):
            return [answer]
        who = f"{answer.get('user')} in {answer.get('team')}"
        return [
            Finding("SLACK_BOT_TOKEN", True, who),
            _scopes(answer, wanted, optional),
            *await self._agent_view(token),
            *_clock(answer),
        ]

    async def _agent_view(self, token: str) -> list[Finding]:
        """A finding if the app's manifest declares no agent view, as far as Slack reveals it.

        The call has no effect, because its conversation does not exist.
        """
        client = self._client(token)
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                await client.assistant_threads_setSuggestedPrompts(
                    channel_id=_NO_CONVERSATION, thread_ts="0.0", prompts=[]
                )
        except SlackApiError as error:
            if _code(error) == "not_agent_app":
                return [Finding("agent view", False, _NO_AGENT_VIEW)]
        except (aiohttp.ClientError, TimeoutError, ValueError):
            pass
        return []

    async def app_token(self, token: str) -> Finding:
        """Whether the app-level token could open a socket; none is opened."""
        client = self._client()
        answer = await self._ask(
            "SLACK_APP_TOKEN", lambda: client.apps_connections_open(app_token=token)
        )
        if isinstance(answer, Finding):
            return answer
        return Finding("SLACK_APP_TOKEN", True, "Socket Mode can connect")

    async def same_app(self, bot_token: str, app_token: str) -> list[Finding]:
        """A finding if the tokens belong to two apps: Slack would send the events of one, and the bot would act as the
        other.

        An app-level token names its app; `bots.info` returns the bot's.
        """
        named = _APP_OF_TOKEN.match(app_token)
        own = await self._app_of(bot_token) if named else None
        if named is None or own in (None, named[1]):
            return []
        return [Finding("SLACK_APP_TOKEN", False, _OTHER_APP.format(named[1], own))]

    async def _app_of(self, bot_token: str) -> str | None:
        """The id of the bot's app; None if Slack does not return it now."""
        client = self._client(bot_token)
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                who = await client.auth_test()
                answer = await client.bots_info(bot=str(who["bot_id"]))
                return str(answer["bot"]["app_id"])
        except (
            SlackApiError,
            aiohttp.ClientError,
            TimeoutError,
            OSError,
            ValueError,
            LookupError,
            TypeError,
        ):
            return None

    async def client_secret(self, client_id: str, client_secret: str) -> Finding:
        """Whether client id and secret match: Slack checks them before the code, which is invalid here."""
        client = self._client()
        answer = await self._ask(
            "SLACK_CLIENT_ID",
            lambda: client.api_call(
                "oauth.v2.access",
                data={"client_id": client_id, "client_secret": client_secret, "code": "none"},
            ),
            expected=("invalid_code",),
        )
        if isinstance(answer, Finding):
            return answer
        return Finding("SLACK_CLIENT_ID", True, "id and secret belong together")

    def _client(self, token: str | None = None) -> AsyncWebClient:
        return new_web_client(token, self.api_url, self.session)

    async def _ask(
        self,
        name: str,
        call: Callable[[], Awaitable[AsyncSlackResponse]],
        expected: tuple[str, ...] = (),
    ) -> AsyncSlackResponse | Finding:
        """The response, also if it is one of the `expected` errors; else the finding for the failure."""
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                return await call()
        except SlackApiError as error:
            code = _code(error)
            if code is None:
                return Finding(name, False, _NOT_SLACK.format(url=self.api_url))
            if code in expected:
                return cast("AsyncSlackResponse", error.response)
            return Finding(name, False, _REMEDIES.get(code) or _unknown_refusal(name, code))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Finding(name, False, self._not_reached(error))

    def _not_reached(self, error: Exception) -> str:
        if cause := explain(error):
            return f"Slack cannot be reached at {self.api_url}: {cause}"
        why = str(error) or type(error).__name__
        return f"Slack cannot be reached at {self.api_url} ({why}); check the network and SLACK_API_URL"


def _code(error: SlackApiError) -> str | None:
    """Slack's error code; None if the response is not from Slack."""
    data = getattr(error.response, "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) else None


def _unknown_refusal(name: str, code: str) -> str:
    cure = (
        "check that Socket Mode is switched on in the app's settings"
        if name == "SLACK_APP_TOKEN"
        else "Slack's reference of its methods says what that means"
    )
    return f"Slack refuses: {code}; {cure}"


def _clock(answer: AsyncSlackResponse) -> Iterator[Finding]:
    """A finding if this machine's clock differs too much from Slack's, by the date of its response."""
    date = next((value for name, value in answer.headers.items() if name.lower() == "date"), None)
    try:
        off = time.time() - parsedate_to_datetime(str(date)).timestamp()
    except ValueError:  # there is no date
        return
    if abs(off) > MAX_CLOCK_DIFFERENCE:
        way = "ahead of" if off > 0 else "behind"
        yield Finding(
            "clock",
            False,
            f"this machine is {abs(off):.0f} s {way} Slack, whose signed requests it will refuse: "
            "synchronise its clock",
        )


def _scopes(answer: AsyncSlackResponse, wanted: Iterable[str], optional: Iterable[str]) -> Finding:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if "x-oauth-scopes" not in headers:
        return Finding("scopes", True, "Slack does not state them here")
    granted = {scope.strip() for scope in headers["x-oauth-scopes"].split(",")}
    missing = sorted(set(wanted) - granted)
    if missing:
        advice = "paste the manifest again (bobbin manifest) and reinstall the app"
        return Finding("scopes", False, f"missing {', '.join(missing)}: {advice}")
    lacking = ", ".join(sorted(set(optional) - granted))
    return Finding("scopes", True, _WITHOUT_OPTIONAL.format(lacking) if lacking else "all granted")
