"""The sandbox as a whole: a workspace, its Web API, its transports to the app, and the page, on one port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from bot.runtime.asgi_server import AsgiServer
from bot.sandbox.app_permissions import DEFAULT_SCOPES
from bot.sandbox.control_api import ControlApi
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.events.delivery import EnvelopeDispatcher
from bot.sandbox.events.http_delivery import HttpDelivery, RequestUrls
from bot.sandbox.events.interactions import InteractionSender
from bot.sandbox.events.response_urls import ResponseUrls
from bot.sandbox.events.socket_mode import SocketMode
from bot.sandbox.events.subscriptions import DEFAULT_EVENTS, EventSubscriptions
from bot.sandbox.events.url_verification import UrlVerification
from bot.sandbox.faults import Faults
from bot.sandbox.journal import CallRecord, Delivery, Journal
from bot.sandbox.limits import Limits
from bot.sandbox.loopback_only import LoopbackOnly
from bot.sandbox.page.http_api import PageApi
from bot.sandbox.state.expiry import Expiry
from bot.sandbox.state.identity import new_identity
from bot.sandbox.state.records import AppFeatures, User
from bot.sandbox.state.scheduled_messages import ScheduledMessages
from bot.sandbox.state.seed import add_default_users_and_channels
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.state.workspace_file import WorkspaceFile
from bot.sandbox.types import Clock
from bot.sandbox.user_actions.agent_sessions import AgentSessionActions
from bot.sandbox.user_actions.conversations import ConversationActions
from bot.sandbox.user_actions.interactions import InteractionActions
from bot.sandbox.user_actions.views import ViewActions
from bot.sandbox.variants import SlackVariants
from bot.sandbox.web_api.agents import agent_methods
from bot.sandbox.web_api.calls import Method
from bot.sandbox.web_api.channel_methods import CHANNEL_METHODS
from bot.sandbox.web_api.conversations import CONVERSATION_METHODS
from bot.sandbox.web_api.endpoint import Tokens, WebApi
from bot.sandbox.web_api.files import Uploads, file_methods
from bot.sandbox.web_api.incoming_webhook import IncomingWebhook
from bot.sandbox.web_api.items import ITEM_METHODS
from bot.sandbox.web_api.messages import CHAT_METHODS
from bot.sandbox.web_api.other_methods import OTHER_METHODS
from bot.sandbox.web_api.scheduled import scheduled_methods
from bot.sandbox.web_api.streams import STREAM_METHODS
from bot.sandbox.web_api.users import USER_METHODS, connection_methods
from bot.sandbox.web_api.views import Modals, Triggers, view_methods

Found = TypeVar("Found")
MAX_MESSAGE_BYTES = 4 << 20
"""The size limit of one message that the app sends on a socket."""
HEADER_TIMEOUT = 20.0
"""Seconds that a client of the sandbox may take to send a request's headers."""
SHUTDOWN_TIMEOUT = 1.0
"""Seconds that requests under way get when the sandbox stops."""


class Sandbox:
    """A local Slack: `async with Sandbox() as slack: …`.

    `scopes` and `events` are what the app was installed with; `commands` (None: any) and `shortcuts` are as in an app
    manifest, `features` what the manifest enables. `tips` are the page's suggestions of what to try, in mrkdwn.
    `mounts` are further routes served on the same port. Port 0 picks a free one. With a `request_url` everything is
    sent to the app in signed HTTP requests, else over Socket Mode. With `on_challenge` the app must first answer a
    challenge there; each new outcome is reported, None for success. A sandbox that is given another one as `beside`
    sends through that one's transport, as Slack does for an app that is installed in several workspaces. With an
    `enterprise` it is one workspace of that organisation, and the app is installed in all of it. With a `file` the
    workspace is restored as it was when that file was last open.

    People act through `conversations`, `interactions`, `views` and `agent_sessions`; what they see is in `workspace`;
    the traffic between Slack and the app is in `journal`; `faults` makes calls fail.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        clock: Clock = time.time,
        host: str = "127.0.0.1",
        port: int = 0,
        scopes: Sequence[str] | frozenset[str] = DEFAULT_SCOPES,
        events: Sequence[str] | frozenset[str] = DEFAULT_EVENTS,
        commands: Sequence[Mapping[str, Any]] | None = None,
        shortcuts: Sequence[Mapping[str, Any]] = (),
        tips: Sequence[str] = (),
        features: AppFeatures = AppFeatures(),
        mounts: Sequence[BaseRoute] = (),
        bot_name: str = "bobbin",
        request_url: str | RequestUrls | None = None,
        on_challenge: Callable[[str | None], None] | None = None,
        team_id: str = "T0SANDBOX",
        enterprise: str | None = None,
        beside: Sandbox | None = None,
        file: WorkspaceFile | None = None,
    ) -> None:
        self.limits = limits or Limits()
        identity = file.identity(bot_name) if file else new_identity(bot_name)
        self.workspace = Workspace(
            clock, self.limits, bot_name, team_id, enterprise, bot_id=identity.user_id
        )
        self.workspace.features = features
        self.commands = commands
        self.shortcuts = shortcuts
        self.tips = tips
        self.faults = Faults()
        self.journal = Journal()
        self.variants = SlackVariants()
        self.bot_token = identity.bot_token
        self.app_token = identity.app_token
        self.signing_secret: str = beside.signing_secret if beside else identity.signing_secret
        self._address = (host, port)
        self._server = AsgiServer(
            header_timeout=HEADER_TIMEOUT,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
            max_message_bytes=MAX_MESSAGE_BYTES,
        )
        self._expiry = Expiry(self.workspace)
        self._scheduled = ScheduledMessages(self.workspace)
        self._changed = asyncio.Event()
        self.webhook = IncomingWebhook(
            self.workspace, frozenset(scopes), identity.webhook_secret, self.journal
        )
        self._build_transport(request_url, on_challenge, clock, beside)
        self._build_events(frozenset(events))
        self._build_user_actions()
        self._build_web_api(frozenset(scopes), frozenset(events))
        self._app = self._build_app(mounts)
        add_default_users_and_channels(self.workspace)
        self._file = file
        if file is not None:
            file.restore(self.workspace, identity)

    # -- parts

    def _build_transport(
        self,
        request_url: str | RequestUrls | None,
        on_challenge: Callable[[str | None], None] | None,
        clock: Clock,
        beside: Sandbox | None,
    ) -> None:
        self.sockets = SocketMode(self.workspace, self.faults)
        urls = RequestUrls(request_url) if isinstance(request_url, str) else request_url
        verified = on_challenge is None
        self._http = (
            HttpDelivery(urls, self.signing_secret, clock, verified=verified) if urls else None
        )
        self._verification: UrlVerification | None = None
        if self._http is not None and on_challenge is not None:
            self._verification = UrlVerification(self._http, self.workspace, on_challenge)
        transport = beside.dispatcher.transport if beside else self._http or self.sockets
        self.dispatcher: EnvelopeDispatcher = EnvelopeDispatcher(
            transport,
            limits=self.limits,
            clock=clock,
            journal=self.journal,
            faults=self.faults,
        )

    def _build_events(self, event_types: frozenset[str]) -> None:
        self.subscriptions = EventSubscriptions(
            self.workspace,
            self.dispatcher,
            event_types=event_types,
            variants=self.variants,
        )
        self.triggers = Triggers(self.workspace)
        self.modals = Modals(self.workspace, self.triggers)
        self.response_urls = ResponseUrls(self.workspace, self.journal)
        self.interaction_sender = InteractionSender(
            self.workspace,
            self.dispatcher,
            triggers=self.triggers,
            response_urls=self.response_urls,
            modals=self.modals,
            variants=self.variants,
        )

    def _build_user_actions(self) -> None:
        self.conversations = ConversationActions(self.workspace)
        self.interactions = InteractionActions(
            self.workspace, self.interaction_sender, self.commands
        )
        self.views = ViewActions(
            self.workspace,
            self.interaction_sender,
            modals=self.modals,
            subscriptions=self.subscriptions,
        )
        self.agent_sessions = AgentSessionActions(self.workspace, self.subscriptions)

    def _build_web_api(self, scopes: frozenset[str], event_types: frozenset[str]) -> None:
        self.uploads = Uploads(self.workspace, self.bot_token, scopes, self.faults)
        methods: dict[str, Method] = {
            **OTHER_METHODS,
            **USER_METHODS,
            **CONVERSATION_METHODS,
            **CHANNEL_METHODS,
            **ITEM_METHODS,
            **CHAT_METHODS,
            **STREAM_METHODS,
            **connection_methods(self.sockets.issue_ticket),
            **view_methods(self.modals),
            **agent_methods(event_types),
            **file_methods(self.uploads),
            **scheduled_methods(self._scheduled),
        }
        self.web_api = WebApi(
            self.workspace,
            methods=methods,
            scopes=scopes,
            tokens=Tokens(self.bot_token, self.app_token),
            faults=self.faults,
            journal=self.journal,
            abort_connection=self._server.abort_connection,
        )

    def _build_app(self, mounts: Sequence[BaseRoute]) -> Starlette:
        control = ControlApi(
            self.workspace,
            faults=self.faults,
            journal=self.journal,
            sockets=self.sockets,
            agent_sessions=self.agent_sessions,
        )
        page = PageApi(
            self.workspace,
            conversations=self.conversations,
            interactions=self.interactions,
            views=self.views,
            agent_sessions=self.agent_sessions,
            transport=self.dispatcher.transport,
            journal=self.journal,
            commands=self.commands,
            shortcuts=self.shortcuts,
            tips=self.tips,
        )
        routes: list[BaseRoute] = [
            Mount("/api", self.web_api),
            WebSocketRoute("/link/", self.sockets.serve),
            Route("/response/{key:path}", self.response_urls.receive, methods=["POST"]),
            Route("/files/{file}/{name:path}", self.uploads.send),
            Route("/services/{place:path}/{secret}", self.webhook.receive, methods=["POST"]),
            Route("/upload/{key}", self.uploads.receive, methods=["POST"]),
            *control.routes(),
            *page.routes(),
            *mounts,
        ]
        return Starlette(routes=routes, middleware=[Middleware(LoopbackOnly)])

    # -- start and stop

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. OSError when the port is taken."""
        await self._server.start(self._app, *self._address)
        self.workspace.base_url = self.url
        self.workspace.subscribe(lambda _: self._changed.set())
        self.workspace.subscribe(self._expiry.on_change)
        self.journal.listeners.append(lambda _: self._changed.set())
        if self._file is not None:
            self._expiry.resume()
            self._file.follow(self.workspace, self.journal)
        self._scheduled.start()
        if self._file is not None:
            for name, envelope in self._file.undelivered():
                self.dispatcher.redeliver_event(name, envelope)
        if self._verification is not None:
            self._verification.start()

    async def stop(self) -> None:
        """Closes every connection and drops what has not been delivered yet."""
        self.faults.release()
        if self._verification is not None:
            await self._verification.stop()
        self._expiry.cancel()
        self._scheduled.cancel()
        await self.dispatcher.close()
        await self.sockets.drop()
        if self._http is not None:
            await self._http.close()
        await self._server.stop()
        if self._file is not None:
            self._file.close()

    # -- addresses

    @property
    def url(self) -> str:
        host, port = self._address
        return f"http://{host}:{self._server.port or port}"

    @property
    def api_url(self) -> str:
        """The base of the Web API, as Slack's clients expect it."""
        return f"{self.url}/api/"

    @property
    def bot_user(self) -> User:
        return self.workspace.bot

    # -- what happened

    @property
    def calls(self) -> list[CallRecord]:
        """Every Web API call that has ended, oldest first."""
        return list(self.journal.calls)

    def calls_of(self, *methods: str) -> list[CallRecord]:
        return [call for call in self.journal.calls if call.method in methods]

    def count(self, method: str) -> int:
        """How many calls of a method have ended, including those that the journal has dropped since."""
        return self.journal.counts[method]

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything that was sent to the app, oldest first."""
        return list(self.journal.deliveries)

    @property
    def refusals(self) -> list[CallRecord]:
        """The calls answered with an error other than `ratelimited`, without injected faults."""
        return self.journal.refusals

    async def until(
        self,
        predicate: Callable[[], Found],
        timeout: float = 60.0,  # noqa: ASYNC109
        what: str = "",
    ) -> Found:
        """Waits until `predicate()` is true and returns its result; it is evaluated at every change, without polling.

        A LookupError or SlackRefusal of the predicate means "not yet". Raises TimeoutError after `timeout` seconds.
        """
        obstacle: Exception | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    self._changed.clear()
                    try:
                        if found := predicate():
                            return found
                    except (LookupError, SlackRefusal) as error:
                        obstacle = error
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout} s: {what or predicate}") from obstacle
