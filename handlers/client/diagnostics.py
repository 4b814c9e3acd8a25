"""What can be known about Slack's credentials before the bot starts, and what to do when one is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

_TIMEOUT = 10
"""Seconds that Slack has to answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: fine, or a message that says what to do."""

    name: str
    ok: bool
    message: str


_WHAT_TO_DO = {
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


async def check_bot_token(token: str, api_url: str, wanted: Iterable[str]) -> list[Finding]:
    """Whether the bot's token works, and whether it was given all the `wanted` scopes."""
    client = _client(api_url, token)
    answer = await _ask("SLACK_BOT_TOKEN", api_url, client.auth_test)
    if isinstance(answer, Finding):
        return [answer]
    who = f"{answer.get('user')} in {answer.get('team')}"
    return [Finding("SLACK_BOT_TOKEN", True, who), _scopes(answer, wanted)]


async def check_app_token(token: str, api_url: str) -> Finding:
    """Whether the app-level token can open a socket. No socket is opened."""
    client = _client(api_url)
    answer = await _ask(
        "SLACK_APP_TOKEN", api_url, lambda: client.apps_connections_open(app_token=token)
    )
    return (
        answer
        if isinstance(answer, Finding)
        else Finding("SLACK_APP_TOKEN", True, "Socket Mode can connect")
    )


async def check_client(client_id: str, client_secret: str, api_url: str) -> Finding:
    """Whether client id and secret belong together: Slack looks at them before it looks at the code."""
    client = _client(api_url)
    answer = await _ask(
        "SLACK_CLIENT_ID",
        api_url,
        lambda: client.api_call(
            "oauth.v2.access",
            data={"client_id": client_id, "client_secret": client_secret, "code": "none"},
        ),
        expected=("invalid_code",),
    )
    return (
        answer
        if isinstance(answer, Finding)
        else Finding("SLACK_CLIENT_ID", True, "id and secret belong together")
    )


def _client(api_url: str, token: str | None = None) -> AsyncWebClient:
    return AsyncWebClient(token=token, base_url=api_url, timeout=_TIMEOUT)


async def _ask(
    name: str,
    api_url: str,
    call: Callable[[], Awaitable[AsyncSlackResponse]],
    expected: tuple[str, ...] = (),
) -> AsyncSlackResponse | Finding:
    """Slack's answer, also one of the `expected` errors; else the finding that it makes."""
    try:
        return await call()
    except SlackApiError as error:
        response: AsyncSlackResponse = error.response
        code = str(response.get("error"))
        if code in expected:
            return response
        return Finding(name, False, _WHAT_TO_DO.get(code, f"Slack refuses: {code}"))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = str(error) or type(error).__name__
        return Finding(
            name,
            False,
            f"Slack cannot be reached at {api_url} ({why}); check the network and SLACK_API_URL",
        )


def _scopes(answer: AsyncSlackResponse, wanted: Iterable[str]) -> Finding:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    told = headers.get("x-oauth-scopes")
    if told is None:
        return Finding("scopes", True, "Slack does not tell them here")
    missing = sorted(set(wanted) - {scope.strip() for scope in told.split(",")})
    if missing:
        advice = "paste the manifest again (bobbin manifest) and reinstall the app"
        return Finding("scopes", False, f"missing {', '.join(missing)}: {advice}")
    return Finding("scopes", True, "all granted")
