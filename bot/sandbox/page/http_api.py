"""The HTTP half of the page's protocol: what the browser reads, and what it does for a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from bot.sandbox.errors import InvalidAnswer, NotAcknowledged, SlackRefusal
from bot.sandbox.events.delivery import Transport
from bot.sandbox.journal import Journal
from bot.sandbox.page import snapshot
from bot.sandbox.page.live_updates import LiveUpdates
from bot.sandbox.state.records import Ephemeral, View
from bot.sandbox.state.workspace import Workspace
from bot.sandbox.types import Json
from bot.sandbox.user_actions.agent_sessions import AgentSessionActions
from bot.sandbox.user_actions.conversations import ConversationActions, Upload
from bot.sandbox.user_actions.find_elements import Target
from bot.sandbox.user_actions.interactions import InteractionActions
from bot.sandbox.user_actions.views import ViewActions
from bot.sandbox.web_api.files import file_response

STATIC = Path(__file__).parents[1] / "static"
MAX_TRAFFIC_ENTRIES = 500
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; font-src 'self'; "
    "media-src 'self'; img-src 'self' data: https: http://127.0.0.1:* http://localhost:*; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads nothing from other origins but images."""
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
ActionHandler = Callable[[str, Json], Awaitable[Json]]


class _Static(StaticFiles):
    """The page's files, revalidated at every visit, so that a new version never runs with parts of an old one."""

    def file_response(self, *args: Any, **named: Any) -> Response:
        response = super().file_response(*args, **named)
        response.headers.update(
            {name: _HEADERS[name] for name in ("cache-control", "x-content-type-options")}
        )
        return response


class PageApi:
    """Everything under `/sandbox/` except the control API, and the page's own files."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        conversations: ConversationActions,
        interactions: InteractionActions,
        views: ViewActions,
        agent_sessions: AgentSessionActions,
        transport: Transport,
        journal: Journal,
        commands: Sequence[Mapping[str, Any]] | None,
        shortcuts: Sequence[Mapping[str, Any]],
        tips: Sequence[str],
    ) -> None:
        self._workspace = workspace
        self._conversations = conversations
        self._interactions = interactions
        self._views = views
        self._agent_sessions = agent_sessions
        self._transport = transport
        self._journal = journal
        self._commands = commands
        self._shortcuts = shortcuts
        self._tips = tips
        self._live_updates = LiveUpdates(workspace, journal)
        self._actions: dict[str, ActionHandler] = {
            "say": self._say,
            "forward": self._forward,
            "report": self._report,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "action": self._action,
            "options": self._options,
            "command": self._command,
            "shortcut": self._shortcut,
            "view/submit": self._submit,
            "view/close": self._close,
            "home": self._home,
            "open-dm": self._open_dm,
            "join": self._join,
            "leave": self._leave,
            "invite": self._invite,
            "read": self._read,
            "stop": self._stop,
            "title": self._title,
            "locale": self._locale,
        }

    def routes(self) -> list[BaseRoute]:
        routes: list[BaseRoute] = [
            Route("/", self._index),
            Route("/archives/{place:path}", self._index),
            Route("/sandbox/state", self._state),
            Route("/sandbox/traffic", self._traffic),
            Route("/sandbox/file/{file}", self._file),
            Route("/sandbox/avatar/{user}.svg", self._avatar),
            WebSocketRoute("/sandbox/live", self._live_updates.serve),
            Route("/sandbox/upload", self._upload, methods=["POST"]),
            *(
                Route(f"/sandbox/{name}", self._endpoint(action), methods=["POST"])
                for name, action in self._actions.items()
            ),
        ]
        if STATIC.is_dir():
            routes.append(Mount("/static", _Static(directory=STATIC)))
        return routes

    # -- reading

    async def _index(self, request: Request) -> Response:
        index = STATIC / "index.html"
        if not index.is_file():
            return PlainTextResponse("The sandbox is running; its page is not installed.")
        return FileResponse(index, headers=_HEADERS)

    async def _state(self, request: Request) -> Response:
        try:
            viewer = self._viewer(request.query_params.get("user"))
        except SlackRefusal as refusal:
            return _refused(refusal.error, "this person does not exist")
        return JSONResponse(
            snapshot.state_json(
                self._workspace,
                viewer,
                commands=self._commands,
                shortcuts=self._shortcuts,
                tips=self._tips,
                connected=self._transport.is_open(),
            )
        )

    async def _traffic(self, request: Request) -> Response:
        try:
            newest = min(max(1, int(request.query_params.get("newest", 100))), MAX_TRAFFIC_ENTRIES)
            before = (
                int(request.query_params["before"]) if "before" in request.query_params else None
            )
        except ValueError:
            return JSONResponse(
                {
                    "ok": False,
                    "error": "invalid_arguments",
                    "message": "newest and before must be numbers",
                },
                400,
            )
        return JSONResponse(
            {"ok": True, "entries": snapshot.traffic_entries(self._journal, newest, before)}
        )

    async def _file(self, request: Request) -> Response:
        workspace = self._workspace
        file = workspace.files.get(request.path_params["file"])
        viewer = self._viewer(request.query_params.get("user"))
        if file is None:
            return PlainTextResponse("not found", 404)
        visible = any(
            workspace.can_see(workspace.channels[channel], viewer) for channel in file.channels
        )
        # An image in a message carries no `user`; without one, anyone on this machine may see the file.
        if "user" in request.query_params and file.user != viewer and not visible:
            return PlainTextResponse("not found", 404)
        return file_response(file)

    async def _avatar(self, request: Request) -> Response:
        user = self._workspace.users.get(request.path_params["user"])
        if user is None:
            return PlainTextResponse("not found", 404)
        picture = snapshot.avatar_svg(user, self._workspace)
        return Response(picture, media_type="image/svg+xml", headers=_HEADERS)

    def _viewer(self, ref: str | None) -> str:
        users = self._workspace.users
        return (
            self._workspace.user(ref).id
            if ref
            else next(user.id for user in users.values() if not user.is_bot)
        )

    # -- acting

    def _endpoint(self, action: ActionHandler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                body = await request.json()
                if not isinstance(body, dict):
                    raise ValueError("the body must be a JSON object")
            except ValueError as broken:
                return JSONResponse(
                    {"ok": False, "error": "invalid_json", "message": str(broken)}, 400
                )
            return await self._do(action, body)

        return endpoint

    async def _do(self, action: ActionHandler, body: Json) -> Response:
        try:
            user = self._viewer(_text(body, "user"))
            return JSONResponse({"ok": True, **await action(user, body)})
        except SlackRefusal as refusal:
            return _refused(refusal.error, refusal.error.replace("_", " "))
        except NotAcknowledged as silence:
            return _refused(silence.error, str(silence))
        except InvalidAnswer as wrong:
            return _refused(wrong.error, "; ".join(wrong.messages))
        except KeyError as missing:
            return JSONResponse(
                {"ok": False, "error": "invalid_arguments", "message": f"missing {missing}"}, 400
            )
        except LookupError as impossible:
            return _refused("not_possible", str(impossible))

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            user = self._viewer(str(form.get("user") or "") or None)
            given = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
            uploads = [
                Upload(
                    part.filename or "file",
                    await part.read(),
                    part.content_type or "application/octet-stream",
                )
                for part in given
            ]
        files = [self._conversations.upload(user, upload) for upload in uploads]
        return JSONResponse({"ok": True, "files": [snapshot.file_json(file) for file in files]})

    async def _say(self, user: str, body: Json) -> Json:
        files = [str(file) for file in body.get("files") or ()]
        if unknown := [file for file in files if file not in self._workspace.files]:
            raise LookupError(f"no such file: {unknown[0]}")
        text, broadcast = str(body.get("text") or ""), bool(body.get("broadcast"))
        if not text and not files:
            raise LookupError("the message is empty")
        thread = _text(body, "thread_ts")
        ts = await self._conversations.say(
            user, body["channel"], text, thread, files, broadcast=broadcast
        )
        return {"ts": ts}

    async def _forward(self, user: str, body: Json) -> Json:
        """Forwards a message, by default to the direct messages with the app."""
        to = _text(body, "to") or self._workspace.dm(user)
        comment, thread = str(body.get("text") or ""), _text(body, "thread_ts")
        ts = await self._conversations.forward(
            user, body["channel"], body["ts"], to, comment, thread
        )
        return {"ts": ts, "channel": to}

    async def _report(self, user: str, body: Json) -> Json:
        """Another app's bot posts something, with attachments or blocks."""
        ts = await self._conversations.say(
            body.get("app", "weatherbot"),
            body["channel"],
            str(body.get("text") or ""),
            _text(body, "thread_ts"),
            attachments=body.get("attachments") or (),
            blocks=body.get("blocks") or (),
        )
        return {"ts": ts}

    async def _edit(self, user: str, body: Json) -> Json:
        await self._conversations.edit(user, body["channel"], body["ts"], body["text"])
        return {}

    async def _delete(self, user: str, body: Json) -> Json:
        await self._conversations.delete(user, body["channel"], body["ts"])
        return {}

    async def _react(self, user: str, body: Json) -> Json:
        remove = bool(body.get("remove"))
        await self._conversations.react(
            user, body["channel"], body["ts"], body["name"], remove=remove
        )
        return {}

    def _target(self, container: Json) -> Target:
        kind, workspace = container["type"], self._workspace
        if kind == "message":
            return workspace.message(container["channel"], container["ts"])
        known: Mapping[str, Ephemeral | View] = (
            workspace.ephemeral_messages if kind == "ephemeral" else workspace.views
        )
        if container["id"] not in known:
            raise LookupError(f"this {kind} does not exist")
        return known[container["id"]]

    async def _action(self, user: str, body: Json) -> Json:
        values = (body.get("state") or {}).get("values")
        target = self._target(body["container"])
        await self._interactions.act(user, target, body["action"], values)
        return {}

    async def _options(self, user: str, body: Json) -> Json:
        target = self._target(body["container"])
        query = str(body.get("value") or "")
        return await self._interactions.options(
            user, target, body["action_id"], query, block_id=body.get("block_id")
        )

    async def _command(self, user: str, body: Json) -> Json:
        await self._interactions.command(
            user, body["channel"], body["command"], str(body.get("text") or "")
        )
        return {}

    async def _shortcut(self, user: str, body: Json) -> Json:
        message = self._workspace.message(body["channel"], body["ts"]) if body.get("ts") else None
        await self._interactions.shortcut(user, body["callback_id"], message)
        return {}

    async def _submit(self, user: str, body: Json) -> Json:
        view = self._workspace.views.get(body["view_id"])
        errors = await self._views.submit(user, body.get("values") or {}, view)
        return {"errors": errors} if errors else {}

    async def _close(self, user: str, body: Json) -> Json:
        await self._views.close(user, self._workspace.views.get(body["view_id"]))
        return {}

    async def _home(self, user: str, body: Json) -> Json:
        return {"channel": await self._views.open_home(user, str(body.get("tab") or "home"))}

    async def _open_dm(self, user: str, body: Json) -> Json:
        others = [self._workspace.user(other).id for other in body["users"]]
        return {"channel": self._workspace.open_dm([user, *others]).id}

    async def _join(self, user: str, body: Json) -> Json:
        await self._conversations.join(user, body["channel"])
        return {}

    async def _leave(self, user: str, body: Json) -> Json:
        await self._conversations.leave(user, body["channel"])
        return {}

    async def _invite(self, user: str, body: Json) -> Json:
        await self._conversations.join(body["invited"], body["channel"], inviter=user)
        return {}

    async def _read(self, user: str, body: Json) -> Json:
        self._workspace.mark_read(self._workspace.channel(body["channel"]), user, str(body["ts"]))
        return {}

    async def _stop(self, user: str, body: Json) -> Json:
        await self._agent_sessions.stop(user, body["channel"], body["thread_ts"])
        return {}

    async def _title(self, user: str, body: Json) -> Json:
        await self._agent_sessions.rename(
            user, body["channel"], body["thread_ts"], str(body["title"])
        )
        return {}

    async def _locale(self, user: str, body: Json) -> Json:
        self._workspace.set_locale(user, str(body["locale"]))
        return {}


def _text(body: Json, name: str) -> str | None:
    value = body.get(name)
    return str(value) if value else None


def _refused(error: str, message: str) -> Response:
    return JSONResponse({"ok": False, "error": error, "message": message})
