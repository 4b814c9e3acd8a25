"""Applies the access rules to everything that people do in Slack, before any listener runs.

A refused person is told so privately, once a day across all replicas, and nothing is stored.
"""

from __future__ import annotations

import json
from typing import Any

from slack_bolt.response import BoltResponse

from bot import strings
from bot.access.access_control import Actor
from bot.access.rules import Standing, Verdict, standing_by_own_team
from bot.domain import User
from bot.errors import StorageError
from bot.languages.language import Language, using_language
from bot.observability import get_logger
from handlers.client.errors import NotInstalled
from handlers.client.web_api import SlackClient
from handlers.listeners.context import ListenerContext, team_of
from handlers.threads.private_notices import notify_once
from handlers.views import payloads
from handlers.views.access_requests import AccessRequest, EntryPoint, access_request_of
from handlers.views.home_tab import home_with_notice

log = get_logger(__name__)

REFUSAL_INTERVAL = 86_400.0
"""Seconds during which a refused person is told only once."""
UNKNOWN_INTERVAL = 60.0
"""The same while Slack does not say who they are, which is temporary."""


class AccessCheck:
    """Lets a request in, or responds to it. A refused request reaches no listener."""

    def __init__(self, ctx: ListenerContext) -> None:
        self._ctx = ctx

    async def refusal(self, body: dict[str, Any], context: dict[str, Any]) -> BoltResponse | None:
        """The response to a person who is refused; None lets the request in."""
        request = access_request_of(body)
        if request is None:
            return None
        try:
            slack = await self._ctx.slack_of(body, context)
        except (NotInstalled, StorageError):
            return None  # Bolt rejects requests from there, or the listener explains why it fails
        if request.user == slack.bot_user:
            return None
        verdict = await self._verdict(slack, request)
        if verdict is Verdict.ALLOWED:
            return None
        log.info("refused", door=request.entry_point, user=request.user, reason=str(verdict))
        # Nothing is looked up or stored about people who are refused.
        with using_language(await self._ctx.names.known_language(User(slack.team, request.user))):
            return await self._refuse(slack, request, verdict, body)

    async def _verdict(self, slack: SlackClient, request: AccessRequest) -> Verdict:
        verdict = await self._ctx.access_control.verdict(_actor(request, slack))
        if verdict is Verdict.ALLOWED and request.entry_point is EntryPoint.DIALOG:
            user = User(slack.team, request.user)
            if await self._ctx.membership.is_away(user, request.channel):
                return Verdict.CHANNEL_LEFT
        return verdict

    async def language(self, body: dict[str, Any], context: dict[str, Any]) -> Language:
        """The language of the acting person, in which they are told about the outcome.

        English for messages, which are stored before anything is looked up, in the order of their arrival. Code that
        responds to one asks for the language.
        """
        request = access_request_of(body)
        if request is None or request.entry_point is EntryPoint.MESSAGE:
            return Language.ENGLISH
        return await self._ctx.names.language(User(team_of(body, context), request.user))

    async def _refuse(
        self, slack: SlackClient, request: AccessRequest, verdict: Verdict, body: dict[str, Any]
    ) -> BoltResponse:
        text = strings.NOT_ALLOWED[verdict]
        match request.entry_point:
            case EntryPoint.OPTIONS:
                return _json(options=[])
            case EntryPoint.DIALOG:
                return _dialog_error(body["view"], text)
            case EntryPoint.COMMAND:
                what, within = _notice_about(request, verdict)
                if not await slack.claims.is_first(*what, within=slack.timing.notice_claim):
                    return _empty()
                self._ctx.tasks.start(slack.claims.keep(*what, within=within), name="refusal")
                return _json(response_type="ephemeral", text=text)
            case EntryPoint.HOME:
                self._show_home(slack, request.user, text)
            case EntryPoint.MESSAGE | EntryPoint.PRESS:
                self._ctx.tasks.start(self._notify(slack, request, verdict, body), name="refusal")
        return _empty()

    def _show_home(self, slack: SlackClient, user: str, text: str) -> None:
        view = home_with_notice(text)
        published = slack.try_call("views.publish", user_id=user, view=view)
        self._ctx.tasks.start(published, name="home tab")

    async def _notify(
        self, slack: SlackClient, request: AccessRequest, verdict: Verdict, body: dict[str, Any]
    ) -> None:
        if request.reader is None or not await self._expects_answer(slack, request, body):
            return
        what, within = _notice_about(request, verdict)
        text = strings.NOT_ALLOWED[verdict]
        await notify_once(slack, what, request.reader, text, within=within)

    async def _expects_answer(
        self, slack: SlackClient, request: AccessRequest, body: dict[str, Any]
    ) -> bool:
        """Whether the person expects a response; people who talk to each other do not."""
        if request.entry_point is not EntryPoint.MESSAGE:
            return True
        message = payloads.incoming_message(body["event"], team=slack.team, bot_user=slack.bot_user)
        if message is None or message.to_others:
            return False
        if message.addressed:
            return True
        return (
            message.in_thread and await self._ctx.chats.find_by_thread(message.thread) is not None
        )


def _actor(request: AccessRequest, slack: SlackClient) -> Actor:
    standing = standing_by_own_team(request.own_team, slack.team, slack.organisation)
    if request.own_team is None and not request.shared:
        standing = Standing.MEMBER
    return Actor(User(slack.team, request.user), request.channel, standing)


def _notice_about(request: AccessRequest, verdict: Verdict) -> tuple[tuple[str, ...], float]:
    """What the refused person is told once, and within how many seconds."""
    where = request.channel if verdict is Verdict.CHANNEL_NOT_ALLOWED else ""
    if verdict is Verdict.UNKNOWN:
        return ("unknown", request.user, where), UNKNOWN_INTERVAL
    return ("refused", request.user, where), REFUSAL_INTERVAL


def _json(**body: Any) -> BoltResponse:
    return BoltResponse(
        status=200, body=json.dumps(body), headers={"Content-Type": "application/json"}
    )


def _empty() -> BoltResponse:
    return BoltResponse(status=200)


def _dialog_error(view: dict[str, Any], text: str) -> BoltResponse:
    """Keeps the dialog open with its input, and shows the reason below its last field."""
    fields = [each["block_id"] for each in view.get("blocks") or () if each["type"] == "input"]
    if not fields:
        return _empty()
    return _json(response_action="errors", errors={fields[-1]: text})
