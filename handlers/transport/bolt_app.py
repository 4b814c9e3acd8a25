"""The Bolt application: what all listeners have in common.

It serves guests (people from other workspaces in shared channels), handles each press and command once across all
replicas, and tells people if their press could not be stored.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import StorageError
from bot.languages.language import using_language
from bot.observability import get_logger, log_context
from bot.tracing import Attribute, Span, SpanKind, span
from handlers.client.workspaces import WorkspaceResolver
from handlers.listeners import register_all
from handlers.listeners.access_check import AccessCheck
from handlers.listeners.context import ListenerContext
from storage.action_claims import ActionClaims, Turn

log = get_logger(__name__)


def build_app(
    api_url: str,
    workspaces: WorkspaceResolver,
    ctx: ListenerContext,
    signing_secret: str | None = None,
) -> SharedApp:
    """The Bolt application with all listeners. Nothing is read from the environment.

    With a `signing_secret` each request must be signed with it and younger than five minutes; without one, requests may
    only come over Socket Mode. `process_before_response`: a request is acknowledged only when its listener has
    returned, and has thus stored its content.
    """

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        return await workspaces.authorize(enterprise_id, team_id)

    with _environment_hidden():
        app = SharedApp(
            ctx.claims,
            AccessCheck(ctx),
            ctx.timing.press_claim,
            name="bobbin",  # without a name Bolt reads the source of each calling function to find one
            client=AsyncWebClient(base_url=api_url, retry_handlers=[]),  # unused: see `SlackClient`
            authorize=authorize,
            process_before_response=True,
            attaching_conversation_kwargs_enabled=False,
            logger=logging.getLogger("slack_bolt"),
            signing_secret=signing_secret,
            request_verification_enabled=signing_secret is not None,
        )
    register_all(app, ctx)

    @app.error
    async def on_error(error: Exception, body: dict[str, Any], context: dict[str, Any]) -> None:
        """Logs the error, and tells the person who pressed something. Returns nothing: a response would acknowledge
        what was not stored.
        """
        kind = (body.get("event") or {}).get("type") or body.get("type") or body.get("command")
        if isinstance(error, StorageError):
            log.warning("not_stored", kind=kind, reason=str(error))
        else:
            log.error("listener_failed", kind=kind, exc_info=error)
        ctx.notify_failure(body, context)

    return app


@contextmanager
def _environment_hidden() -> Iterator[None]:
    """Hides the environment: Bolt would take a token from it, and for a client id store installations in files."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


ACK_OVERDUE = 6.0
"""Seconds after which an unacknowledged event counts as a fault; Slack waits for three."""


class SharedApp(AsyncApp):
    """A Bolt application that serves guests on behalf of the workspace where it is installed.

    Interactions of guests with dialogs, and some with messages, name the guest's own workspace, which may not have the
    app: Bolt would reject them, or use the wrong token. While a request is handled, log entries name the workspace.
    """

    def __init__(
        self, claims: ActionClaims, access_check: AccessCheck, press_claim: float, **options: Any
    ) -> None:
        super().__init__(**options)
        self._claims = claims
        self._access_check = access_check
        self._press_claim = press_claim
        self._began_at: list[float] = []
        """When the requests began that are not acknowledged yet, by the monotonic clock, oldest first."""

    @property
    def requests_in_progress(self) -> int:
        """Requests that are being handled and not acknowledged yet."""
        return len(self._began_at)

    def fault(self) -> str | None:
        """Whether requests are acknowledged too late: Slack has given up waiting and delivers them again."""
        waiting = time.monotonic() - self._began_at[0] if self._began_at else 0.0
        return f"an event has waited for {waiting:.0f} s" if waiting > ACK_OVERDUE else None

    last_request_at = float("-inf")
    """When a request was last acknowledged, by the monotonic clock."""

    async def async_dispatch(self, req: AsyncBoltRequest) -> BoltResponse:
        if host := host_of(req.body):
            req.context["team_id"] = host
            # The payload names the guest's organisation.
            req.context["enterprise_id"] = None
        began = time.monotonic()
        self._began_at.append(began)
        try:
            team = req.context.get("team_id") or req.context.get("enterprise_id")
            with log_context(team=team), _span_of(req.body, team):
                return await self._answer(req)
        finally:
            self._began_at.remove(began)
            self.last_request_at = time.monotonic()

    async def _answer(self, req: AsyncBoltRequest) -> BoltResponse:
        if refusal := await self._access_check.refusal(req.body, req.context):
            return refusal
        with using_language(await self._access_check.language(req.body, req.context)):
            return await self._dispatch_once(req)

    async def _dispatch_once(self, req: AsyncBoltRequest) -> BoltResponse:
        """Acknowledges a press, a shortcut or an opened Home tab that any replica has handled.

        The acknowledgements have no content, so it does not matter which of two reaches Slack. While another replica is
        handling it, its end is waited for, since that replica may be dead. Without the database a press is handled
        anyway; its listener knows whether that is possible.
        """
        envelope = _envelope_id(req.body)
        if envelope is None:
            return await super().async_dispatch(req)
        try:
            turn = await self._claims.turn("envelope", envelope, seconds=self._press_claim)
        except StorageError as error:
            log.warning("claim_unknown", reason=str(error))
            return await super().async_dispatch(req)
        if turn is Turn.MINE:
            return await self._dispatch_claimed(req, envelope)
        return BoltResponse(status=200 if turn is Turn.DONE else 503)

    async def _dispatch_claimed(self, req: AsyncBoltRequest, envelope: str) -> BoltResponse:
        handled = False
        try:
            async with self._claims.renewing("envelope", envelope, seconds=self._press_claim):
                response = await super().async_dispatch(req)
            handled = response.status == 200
            return response
        finally:
            with suppress(StorageError):  # then the claim expires
                await (self._claims.keep if handled else self._claims.release)("envelope", envelope)


def _span_of(body: dict[str, Any], team: str | None) -> AbstractContextManager[Span]:
    """A span from the arrival of a request from Slack to its acknowledgement, after it is stored."""
    event = body.get("event") or {}
    kind = str(event.get("type") or body.get("type") or ("command" if body.get("command") else ""))
    attributes: dict[str, Attribute] = {"messaging.system": "slack", "bobbin.team": team or ""}
    return span(f"slack {kind}", SpanKind.CONSUMER, attributes=attributes)


def _envelope_id(body: dict[str, Any]) -> str | None:
    """An id shared by all copies of an interaction whose acknowledgement has no content; None for all others."""
    if body.get("type") in ("block_actions", "shortcut", "message_action"):
        trigger = body.get("trigger_id")
    elif (body.get("event") or {}).get("type") == "app_home_opened":
        trigger = body.get("event_id")
    else:
        return None
    return trigger if isinstance(trigger, str) and trigger else None


def host_of(body: dict[str, Any]) -> str | None:
    """The workspace of the view or the message, if the payload names the guest's own workspace instead."""
    named, user = _id(body.get("team")), body.get("user")
    if named is None or not isinstance(user, dict) or user.get("team_id") != named:
        return None
    host = _installed_in(body)
    return host if host != named else None


def _installed_in(body: dict[str, Any]) -> str | None:
    view, message = body.get("view"), body.get("message")
    if isinstance(view, dict):
        found = view.get("app_installed_team_id")
    elif isinstance(message, dict) and body.get("type") in ("block_actions", "block_suggestion"):
        profile = message.get("bot_profile")
        found = profile.get("team_id") if isinstance(profile, dict) else None
    else:  # a message shortcut may be used on anybody's message
        return None
    return found if isinstance(found, str) and found.startswith("T") else None


def _id(team: object) -> str | None:
    found = team.get("id") if isinstance(team, dict) else team
    return found if isinstance(found, str) else None
