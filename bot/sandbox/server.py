"""The sandbox as a whole: a workspace, its Web API, its ways to the app, and the page, served on one port."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, get_args

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from bot.asgi_server import AsgiServer
from bot.sandbox.control_api import ControlApi
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.events.delivery import Courier
from bot.sandbox.events.http_delivery import HttpRoute
from bot.sandbox.events.interactions import Interactions
from bot.sandbox.events.response_urls import Responses
from bot.sandbox.events.socket_mode import SocketMode
from bot.sandbox.events.subscriptions import DEFAULT_EVENTS, Feed
from bot.sandbox.faults import Fault, Faults, Mode
from bot.sandbox.journal import CallRecord, Delivery, Journal
from bot.sandbox.limits import Limits
from bot.sandbox.loopback_only import LoopbackOnly
from bot.sandbox.page.http_api import PageApi
from bot.sandbox.state.records import User
from bot.sandbox.state.workspace import Change, Workspace
from bot.sandbox.types import Clock, Json
from bot.sandbox.user_actions import Persons
from bot.sandbox.web_api.agents import agent_methods
from bot.sandbox.web_api.endpoint import Tokens, WebApi
from bot.sandbox.web_api.files import Uploads, file_methods
from bot.sandbox.web_api.messages import CHAT_METHODS, expire_stream
from bot.sandbox.web_api.streams import STREAM_METHODS
from bot.sandbox.web_api.users_and_conversations import WORKSPACE_METHODS, connection_methods
from bot.sandbox.web_api.views import Modals, Triggers, view_methods

Answer = TypeVar("Answer")
MAX_MESSAGE_BYTES = 4 << 20
"""Of one message that the app may send on a socket."""

DEFAULT_SCOPES = frozenset(
    {
        *(
            "app_mentions:read",
            "assistant:write",
            "channels:history",
            "channels:read",
            "chat:write",
        ),
        *(
            "chat:write.customize",
            "commands",
            "files:read",
            "files:write",
            "groups:history",
            "groups:read",
        ),
        *(
            "im:history",
            "im:read",
            "im:write",
            "mpim:history",
            "mpim:read",
            "reactions:read",
            "reactions:write",
        ),
        *("team:read", "users:read"),
    }
)


class Sandbox(Persons):
    """A local Slack: `async with Sandbox() as slack: …`.

    `scopes` and `events` are what the app was installed with; `commands` and `shortcuts` are as in an app manifest.
    `mounts` are further routes served on the same port. Port 0 picks a free one. With a `request_url` everything goes
    to the app by signed HTTP requests, else by Socket Mode; `beside` another sandbox it goes the way of that one's, as
    it does for an app that is installed in several workspaces. With an `enterprise` it is one workspace of that
    organisation, and the app is installed in all of it.
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
        commands: Sequence[Mapping[str, Any]] = (),
        shortcuts: Sequence[Mapping[str, Any]] = (),
        mounts: Sequence[BaseRoute] = (),
        bot_name: str = "bobbin",
        request_url: str | None = None,
        team_id: str = "T0SANDBOX",
        enterprise: str | None = None,
        beside: Sandbox | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.workspace = Workspace(clock, self.limits, bot_name, team_id, enterprise)
        self.commands, self.shortcuts = commands, shortcuts
        self.faults, self.journal = Faults(), Journal()
        self.sockets = SocketMode(self.workspace, self.faults)
        self.signing_secret: str = (
            secrets.token_hex(16) if beside is None else beside.signing_secret
        )
        self._http = HttpRoute(request_url, self.signing_secret, clock) if request_url else None
        route = beside.courier.route if beside is not None else self._http or self.sockets
        self.courier: Courier = Courier(route, self.limits, clock, self.journal, self.faults)
        self.feed = Feed(self.workspace, self.courier, frozenset(events))
        self.triggers = Triggers(self.workspace)
        self.modals = Modals(self.workspace, self.triggers)
        self.responses = Responses(self.workspace)
        self.interactions = Interactions(
            self.workspace, self.courier, self.triggers, self.responses, self.modals
        )
        self._server = AsgiServer(
            header_timeout=20.0, shutdown_timeout=1.0, max_message_bytes=MAX_MESSAGE_BYTES
        )
        self.bot_token = f"xoxb-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-{self.workspace.app_id}-{secrets.token_hex(12)}"
        granted = frozenset(scopes)
        self.uploads = Uploads(self.workspace, self.bot_token, granted)
        methods = {
            **WORKSPACE_METHODS,
            **CHAT_METHODS,
            **STREAM_METHODS,
            **connection_methods(self.sockets.ticket),
            **view_methods(self.modals),
            **agent_methods(frozenset(events)),
            **file_methods(self.uploads),
        }
        tokens = Tokens(self.bot_token, self.app_token)
        self.api = WebApi(
            self.workspace,
            methods=methods,
            scopes=granted,
            tokens=tokens,
            faults=self.faults,
            journal=self.journal,
            abort_connection=self._server.abort_connection,
        )
        self._app = self._application(mounts)
        self._address = (host, port)
        self._changed = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        furnish(self.workspace)

    # -- life

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
        self.workspace.subscribe(self._on_change)
        self.journal.listeners.append(lambda _: self._changed.set())

    async def stop(self) -> None:
        """Close every connection and forget what was still to be delivered."""
        self.faults.release()
        for timer in self._timers:
            timer.cancel()
        await self.courier.close()
        await self.sockets.drop()
        if self._http is not None:
            await self._http.close()
        await self._server.stop()

    def _application(self, mounts: Sequence[BaseRoute]) -> Starlette:
        routes: list[BaseRoute] = [
            Mount("/api", self.api),
            WebSocketRoute("/link/", self.sockets.serve),
            Route("/response/{key:path}", self._response, methods=["POST"]),
            Route("/files/{file}/{name:path}", self.uploads.send),
            Route("/upload/{key}", self.uploads.receive, methods=["POST"]),
            *ControlApi(self).routes(),
            *PageApi(self).routes(),
            *mounts,
        ]
        return Starlette(routes=routes, middleware=[Middleware(LoopbackOnly)])

    async def _response(self, request: Request) -> Response:
        body = await request.json()
        record = CallRecord(self.journal.number(), self.workspace.clock(), "response_url", body)
        try:
            self.responses.post(request.path_params["key"], body)
        except SlackRefusal as refusal:
            record.result, record.error = refusal.answer(), refusal.error
            record.status = (
                404 if refusal.error in ("used_url", "expired_url", "invalid_url") else 400
            )
        self.journal.called(record)
        return (
            JSONResponse(record.result, record.status) if record.error else PlainTextResponse("ok")
        )

    # -- addresses and credentials

    @property
    def url(self) -> str:
        return f"http://{self._address[0]}:{self._server.port or self._address[1]}"

    @property
    def api_url(self) -> str:
        """The base of the Web API, as Slack's clients want it."""
        return f"{self.url}/api/"

    @property
    def bot_user(self) -> User:
        return self.workspace.bot

    # -- watching

    @property
    def calls(self) -> list[CallRecord]:
        """Every Web API call that has ended, oldest first."""
        return list(self.journal.calls)

    def calls_of(self, *methods: str) -> list[CallRecord]:
        return [call for call in self.journal.calls if call.method in methods]

    def count(self, method: str) -> int:
        """How many calls of a method have ended, however many there were."""
        return self.journal.counts[method]

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything the app was told, oldest first."""
        return list(self.journal.deliveries)

    @property
    def refusals(self) -> list[CallRecord]:
        """The calls answered with an error other than `ratelimited`."""
        return self.journal.refusals

    async def until(
        self,
        predicate: Callable[[], Answer],
        timeout: float = 60.0,  # noqa: ASYNC109
        what: str = "",
    ) -> Answer:
        """Wait until `predicate()` is true; looks again at every change instead of polling. Gives what it gave.

        A LookupError or SlackRefusal of the predicate means "not yet". TimeoutError after `timeout` seconds.
        """
        obstacle: Exception | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    self._changed.clear()
                    try:
                        if answer := predicate():
                            return answer
                    except (LookupError, SlackRefusal) as error:
                        obstacle = error
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout} s: {what or predicate}") from obstacle

    def _on_change(self, change: Change) -> None:
        self._changed.set()
        if change.kind == "status" and change.data["thread"].status:
            thread = change.data["thread"]
            self._later(
                self.limits.status_ttl,
                lambda: self.expire_status(thread.channel, thread.thread_ts),
            )
        elif change.kind == "posted" and change.message is not None and change.message.streaming:
            message = change.message
            self._later(self.limits.stream_ttl, lambda: expire_stream(self.workspace, message))

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            work()

        timer = asyncio.get_running_loop().call_later(seconds + 0.001, run)
        self._timers.add(timer)

    # -- trouble

    def fail(self, method: str, mode: Mode = "error", **details: Any) -> Fault:
        """The next calls of `method` (`*`: any) go wrong; see Fault for modes and details. ValueError: no such mode."""
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}")
        fault = Fault(method, mode, **details)
        self.faults.waiting.append(fault)
        return fault

    async def drop_sockets(self) -> None:
        """Close every socket of the app without a word."""
        await self.sockets.drop()

    async def refresh_sockets(
        self, reason: Literal["warning", "refresh_requested", "link_disabled"]
    ) -> None:
        """Ask every socket of the app to renew itself."""
        await self.sockets.disconnect(reason)

    def refuse_sockets(self, seconds: float) -> None:
        """Refuse new sockets for a while."""
        self.faults.refuse_until = self.workspace.clock() + seconds

    def deliver_event(
        self, event: Json, subscription: str | None = None, *, ext_shared: bool = False
    ) -> None:
        """Deliver any event as it is, e.g. `{"type": "app_uninstalled"}`; dropped when the app has not subscribed."""
        stamped = {"event_ts": self.workspace.next_ts(), **event}
        self.feed.send(subscription or str(event["type"]), stamped, ext_shared=ext_shared)

    def multiply_deliveries(self, copies: int) -> None:
        """Deliver everything so many times from now on."""
        self.faults.copies = copies


def furnish(workspace: Workspace) -> None:
    """The people and channels every new workspace has."""
    names = {"alice": "Alice Archer", "bob": "Bob Brown", "carol": "Carol Chen", "dan": "Dan Diaz"}
    people = [workspace.add_user(name, real_name).id for name, real_name in names.items()]
    other_bot = workspace.add_user("weatherbot", "Weather Bot", bot=True).id
    everyone = [*people, workspace.bot.id, other_bot]
    workspace.add_channel("general", everyone)
    workspace.add_channel("random", everyone)
    workspace.add_channel("watercooler", people)
    workspace.add_channel("leads", [people[0], people[1], workspace.bot.id], "group")
